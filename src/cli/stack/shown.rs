//! The differences between a lab and its cluster, and what was done about them, as text.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::kube::apply::{Change, Difference, Done, Found, Gone, GoneObjects, Key, Origin, Report};

/// Lines shown of an object, unless all are asked for.
const FEW: usize = 40;

/// Longest value shown in a line, in characters.
const LONG: usize = 160;

/// Unchanged lines around a difference.
const AROUND: usize = 2;

/// What differs.
#[derive(Debug, Serialize)]
pub(super) struct Differences {
    /// The kubeconfig's context.
    pub(super) cluster: String,
    /// Number of objects that are as they should be.
    pub(super) same: usize,
    /// The others.
    pub(super) objects: Vec<Difference>,
    /// What the lab no longer has.
    pub(super) gone: GoneObjects,
}

/// What was done.
#[derive(Debug, Serialize)]
pub(super) struct Outcomes {
    /// The kubeconfig's context.
    pub(super) cluster: String,
    #[serde(flatten)]
    pub(super) report: Report,
    /// What was deleted.
    pub(super) deleted: Vec<Key>,
    /// What the API did not delete, each with the reason.
    pub(super) undeleted: Vec<Undeleted>,
    /// What the lab no longer has, and the cluster keeps.
    pub(super) kept: Vec<Gone>,
}

/// An object that was not deleted.
#[derive(Debug, Serialize)]
pub(super) struct Undeleted {
    #[serde(flatten)]
    pub(super) key: Key,
    pub(super) why: String,
}

/// What differs.
pub(super) fn differences(found: &Differences, whole: bool) -> String {
    let mut text = String::new();
    for one in &found.objects {
        text.push_str(&difference(one, whole));
    }
    if !found.gone.objects.is_empty() {
        text.push_str("No longer in the lab:\n");
        text.push_str(&list(&found.gone.objects));
        text.push_str(
            "`labimg stack apply --prune` deletes them; what may hold data only with --and-data. What came with the master's \
             card comes back when k3s starts, until a new one is flashed\n",
        );
    }
    for file in &found.gone.foreign {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{file} on the master is neither of this lab nor of k3s; labimg leaves it alone");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let count = |is_it: fn(&Found) -> bool| found.objects.iter().filter(|one| is_it(&one.found)).count();
    let counts = [
        (count(|found| matches!(found, Found::New)), "new"),
        (count(|found| matches!(found, Found::Changed { .. })), "changed"),
        (count(|found| matches!(found, Found::Waits { .. })), "waiting for their kind"),
        (count(|found| matches!(found, Found::Refused { .. })), "refused"),
        (found.same, "the same"),
    ];
    let _ = writeln!(text, "{}: {}", found.cluster, sum(&counts));
    text
}

/// `2 new, 3 changed`: those of which there are any.
fn sum(counts: &[(usize, &str)]) -> String {
    let some: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if some.is_empty() { "nothing".to_owned() } else { some.join(", ") }
}

fn difference(one: &Difference, whole: bool) -> String {
    let mut lines = Vec::new();
    let title = match &one.found {
        Found::Same => format!("{}", one.key),
        Found::New => format!("{}: new", one.key),
        Found::Waits { why } => format!("{}: waits, {why}", one.key),
        Found::Refused { why } => format!("{}: refused, {why}", one.key),
        Found::Changed { changes } => {
            lines.extend(changes.iter().flat_map(change));
            one.key.to_string()
        }
    };
    let left = lines.len().saturating_sub(FEW);
    if left > 0 && !whole {
        lines.truncate(FEW);
        lines.push(format!("… {left} more lines: --whole shows them"));
    }
    lines.extend(one.warnings.iter().map(|warning| format!("warning: {warning}")));
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{title}\n{lines}")
}

/// The lines of a difference.
fn change(Change { path, from, to, hidden }: &Change) -> Vec<String> {
    if *hidden {
        return vec![format!("{path}: differs")];
    }
    match (from, to) {
        (Some(Value::String(from)), Some(Value::String(to))) if from.contains('\n') || to.contains('\n') => {
            std::iter::once(format!("{path}:")).chain(text_lines(from, to)).collect()
        }
        (Some(from), Some(to)) => vec![format!("{path}: {} -> {}", short(from), short(to))],
        (None, Some(to)) => added('+', path, to),
        (Some(from), None) => added('-', path, from),
        (None, None) => Vec::new(),
    }
}

/// What is only on one side: texts of several lines line by line.
fn added(sign: char, path: &str, value: &Value) -> Vec<String> {
    match value.as_str().filter(|text| text.contains('\n')) {
        Some(text) => {
            let lines = text.lines().map(|line| format!("  {sign}{line}"));
            std::iter::once(format!("{sign} {path}:")).chain(lines).collect()
        }
        None => vec![format!("{sign} {path}: {}", short(value))],
    }
}

/// The lines that differ, with a few around them.
fn text_lines(from: &str, to: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(from, to);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if index > 0 {
            lines.push("  …".to_owned());
        }
        for line in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match line.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            lines.push(format!("  {sign}{}", line.value().trim_end_matches('\n')).trim_end().to_owned());
        }
    }
    lines
}

/// A value in one line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONG {
        return text;
    }
    text.chars().take(LONG).chain(['…']).collect()
}

/// Objects that the lab no longer has, one a line.
pub(super) fn list(gone: &[Gone]) -> String {
    let line = |one: &Gone| {
        let from = match &one.origin {
            Origin::Card { file } => format!("from {file}"),
            Origin::Apply => "from labimg stack apply".to_owned(),
        };
        let data = one.data.as_ref().map(|what| format!("; with it goes: {what} (--and-data {})", argument(&one.key)));
        format!("  {} {from}{}\n", one.key, data.unwrap_or_default())
    };
    gone.iter().map(line).collect()
}

/// An object's name on the command line.
pub(super) fn argument(key: &Key) -> String {
    key.to_string().replacen(' ', "/", 1)
}

/// What was done.
pub(super) fn outcomes(done: &Outcomes) -> String {
    let mut text = String::new();
    for one in &done.report.objects {
        let state = match &one.done {
            Done::Created => "created".to_owned(),
            Done::Changed => "changed".to_owned(),
            Done::Failed { why } => format!("failed: {why}"),
            Done::Unchanged if one.warnings.is_empty() => continue,
            Done::Unchanged => "unchanged".to_owned(),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}: {state}", one.key);
        for warning in &one.warnings {
            let _ = writeln!(text, "  warning: {warning}");
        }
    }
    for key in &done.deleted {
        let _ = writeln!(text, "{key}: deleted");
    }
    for one in &done.undeleted {
        let _ = writeln!(text, "{}: not deleted: {}", one.key, one.why);
    }
    if !done.kept.is_empty() {
        let _ = write!(text, "Kept, since it may hold data:\n{}", list(&done.kept));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let report = &done.report;
    let counts = [
        (report.created, "created"),
        (report.changed, "changed"),
        (report.unchanged, "unchanged"),
        (done.deleted.len(), "deleted"),
        (report.failed + done.undeleted.len(), "failed"),
    ];
    let _ = writeln!(text, "{}: {}", done.cluster, sum(&counts));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(from: Value, to: Value) -> Vec<String> {
        let some = |value: Value| Some(value).filter(|value| !value.is_null());
        change(&Change { path: "a.b".to_owned(), from: some(from), to: some(to), hidden: false })
    }

    #[test]
    fn texts_are_compared_line_by_line() {
        let from = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let to = from.replace("2\n", "two\n").replace('9', "nine");
        assert_eq!(
            lines(from.into(), to.into()),
            ["a.b:", "   1", "  -2", "  +two", "   3", "   4", "  …", "   7", "   8", "  -9", "  +nine"]
        );
        assert_eq!(lines(1.into(), json!({ "x": 1 })), [r#"a.b: 1 -> {"x":1}"#]);
        assert_eq!(lines(Value::Null, "x\ny\n".into()), ["+ a.b:", "  +x", "  +y"]);
        assert_eq!(lines("x".into(), Value::Null), [r#"- a.b: "x""#]);
        assert!(lines("x".repeat(1000).into(), "y".into())[0].chars().count() < 200);
    }

    #[test]
    fn much_is_cut_unless_all_is_asked_for() {
        let one = |i: usize| Change { path: format!("x{i}"), from: None, to: Some(i.into()), hidden: false };
        let key = Key { api_version: "v1".to_owned(), kind: "X".to_owned(), namespace: None, name: "a".to_owned() };
        let found = Found::Changed { changes: (0..100).map(one).collect() };
        let one = Difference { key, found, warnings: Vec::new() };
        assert_eq!(difference(&one, false).lines().count(), FEW + 2);
        assert_eq!(difference(&one, true).lines().count(), 101);
    }
}
