//! How mistakes in a `lab.toml` are shown: with file, line and a caret, or as JSON.

use std::fmt::{self, Write};
use std::io::IsTerminal;
use std::path::Path;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, Severity,
    SourceCode, SourceSpan, SpanContents, ThemeCharacters,
};
use serde_json::{Value, json};

use super::clean::{clean, clean_in_place};
use crate::lab::{self, Place, Problem};

/// Number of problems shown; the rest is only counted.
pub(super) const SHOWN: usize = 50;

/// Draws problems for human readers: with colours and lines on a terminal, in plain ASCII elsewhere or with `NO_COLOR`.
/// Secrets in the text are masked.
pub(super) fn draw(file: &Path, text: &str, problems: &[Problem], severity: Severity) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) || !std::io::stderr().is_terminal();
    let mut theme = if plain { GraphicalTheme::none() } else { GraphicalTheme::unicode() };
    theme.characters = ThemeCharacters { error: "error:".into(), warning: "warning:".into(), ..theme.characters };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(100).with_links(false);
    // The drawing has escape sequences of its own, so that everything in it is cleaned before.
    let name = clean(&file.display().to_string()).into_owned();
    let source = Source { name, text: clean_in_place(&lab::mask(text)).into_owned() };
    let mut drawn = String::new();
    for problem in problems.iter().take(SHOWN) {
        if handler.render_report(&mut drawn, &Shown { problem, source: &source, severity }).is_err() {
            // Drawing fails when the source has no text for a span; then at least the message is shown.
            drawn += &clean(&problem.message);
        }
        drawn.push('\n');
    }
    if problems.len() > SHOWN {
        // Writing to a String cannot fail.
        let _ = write!(drawn, "  and {} more\n\n", problems.len() - SHOWN);
    }
    drawn
}

/// The problems for programs (`--json`).
pub(super) fn objects(text: &str, problems: &[Problem]) -> Vec<Value> {
    problems
        .iter()
        .map(|p| {
            let Place { line, column } = Place::of(text, p.span.start);
            json!({"line": line, "column": column, "message": p.message, "help": p.help})
        })
        .collect()
}

/// `1 mistake`, `3 mistakes`.
pub(super) fn count(problems: &[Problem]) -> String {
    format!("{} mistake{}", problems.len(), if problems.len() == 1 { "" } else { "s" })
}

/// A problem in the form that miette draws.
#[derive(Debug)]
struct Shown<'p> {
    problem: &'p Problem,
    source: &'p Source,
    severity: Severity,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.problem.message))
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.problem.help.as_ref().map(|help| Box::new(clean(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let other = self.problem.also.iter();
        let other = other.map(|l| LabeledSpan::new_with_span(Some(clean(&l.text).into_owned()), l.span.clone()));
        let first = LabeledSpan::new_primary_with_span(None, self.problem.span.clone());
        Some(Box::new(std::iter::once(first).chain(other)))
    }
}

/// A text that is shown in whole lines, without the lines around them, which would only distract.
#[derive(Debug)]
struct Source {
    name: String,
    text: String,
}

impl SourceCode for Source {
    /// miette asks without context lines when it only needs the position, else in order to draw.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        // A span may end in the middle of a character that has several bytes.
        let at = |offset: usize| (0..=offset.min(self.text.len())).rev().find(|&at| self.text.is_char_boundary(at));
        let (start, end) = (at(span.offset()), span.offset() + span.len());
        // The newline belongs to the line, so that a position at its very end can be shown.
        let last = at(end.saturating_sub(usize::from(!span.is_empty())));
        let (Some(start), Some(last)) = (start, last) else { return Err(MietteError::OutOfBounds) };
        let last = self.text.get(last..).ok_or(MietteError::OutOfBounds)?;
        let to = last.find('\n').map_or(self.text.len(), |at| self.text.len() - last.len() + at + 1);
        let head = self.text.get(..start).ok_or(MietteError::OutOfBounds)?;
        let from = head.rfind('\n').map_or(0, |at| at + 1);
        let place = Place::of(&self.text, start);
        let (from, column) = if before == 0 { (start, place.column - 1) } else { (from, 0) };
        let lines = &self.text[from..to];
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            lines.as_bytes(),
            (from, lines.len()).into(),
            place.line - 1,
            column,
            lines.lines().count(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Parts;
    use proptest::prelude::*;

    fn drawn(text: &str) -> String {
        let problems = lab::parse(text, None, &Parts::built_in().unwrap()).unwrap_err();
        draw(Path::new("lab.toml"), text, &problems, Severity::Error)
    }

    #[test]
    fn a_mistake_that_ends_with_a_character_of_several_bytes_has_its_place() {
        for (text, place) in [("\nname = “x”\n", "lab.toml:2:8"), ("name = é", "lab.toml:1:8"), ("é", "lab.toml:1:1")]
        {
            let drawn = drawn(text);
            assert!(drawn.contains(place) && drawn.contains(text.trim()), "{text:?}: {drawn}");
        }
    }

    proptest! {
        #[test]
        fn every_mistake_is_drawn(text in "([a-z =\"“”‘é\\u{1F600}#\\[\\]{}]|\n|name = |\\[\\[nodes\\]\\]\n|\\PC){1,30}") {
            if let Err(problems) = lab::parse(&text, None, &Parts::built_in().unwrap()) {
                let drawn = draw(Path::new("lab.toml"), &text, &problems, Severity::Error);
                prop_assert!(!drawn.contains("Failed to read"), "{text:?}: {drawn}");
            }
        }
    }
}
