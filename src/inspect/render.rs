//! The report as text for human readers.

use super::report::{ImageReport, PartitionReport};
use super::system::System;
use super::why::{Owner, Why};
use crate::record::RecordLayer;

/// A report as plain text, with lines of at most about 100 columns.
#[must_use]
pub fn render(report: &ImageReport) -> String {
    let mut out = String::new();
    let table = match report.table {
        "none" => "no partition table".to_owned(),
        kind => format!("{} {}", kind.to_uppercase(), report.disk_id),
    };
    line(&mut out, format_args!("Image         {}, {table}", size(report.size)));
    for partition in &report.partitions {
        render_partition(&mut out, partition);
    }
    if let Some(system) = &report.system {
        render_system(&mut out, system);
    }
    if !report.problems.is_empty() {
        line(&mut out, format_args!("\nProblems"));
        for problem in &report.problems {
            line(&mut out, format_args!("  {problem}"));
        }
    }
    out
}

/// The answer to "why is this file there?" as plain text.
#[must_use]
pub fn render_why(why: &Why) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("{}", why.path));
    let target = why.target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
    let Why { kind, mode, owner, .. } = why;
    line(&mut out, format_args!("  what        {kind}{target}, {mode} {}:{}, {}", owner.0, owner.1, size(why.size)));
    match (&why.layer, why.packages.is_empty()) {
        (Some(layer), _) => line(&mut out, format_args!("  layer       {layer}")),
        (None, true) => {
            line(
                &mut out,
                format_args!("  layer       unknown: no package has it, and no manifest of labimg names it"),
            );
        }
        (None, false) => {}
    }
    for Owner { package, version, chain, reason } in &why.packages {
        line(&mut out, format_args!("  package     {package} {version}"));
        if chain.len() > 1 {
            line(&mut out, format_args!("  needed by   {}", chain.join(" -> ")));
        }
        if let (Some(first), Some(reason)) = (chain.first(), reason) {
            line(&mut out, format_args!("  asked for   {first}: {reason}"));
        }
    }
    if let Some(problem) = &why.record_problem {
        line(&mut out, format_args!("  not known   {problem}"));
    }
    out
}

fn render_partition(out: &mut String, PartitionReport { entry, file_system, holds }: &PartitionReport) {
    let name = if entry.name.is_empty() { String::new() } else { format!(" `{}`", entry.name) };
    let kind = if entry.type_name.is_empty() { &entry.type_id } else { entry.type_name };
    let place = format!("{} from byte {}", size(entry.len), entry.start);
    line(out, format_args!("\nPartition {}   {place}{name}", entry.number));
    if !entry.type_id.is_empty() {
        line(out, format_args!("  type        {kind}"));
        line(out, format_args!("  PARTUUID    {}", entry.partuuid));
    }
    let Some(fs) = file_system else {
        let what =
            holds.map_or("none that labimg can read".to_owned(), |kind| format!("{kind}, which labimg does not read"));
        line(out, format_args!("  files       {what}"));
        return;
    };
    let label = if fs.label.is_empty() { "no label".to_owned() } else { format!("`{}`", fs.label) };
    line(out, format_args!("  files       {} {label}, UUID {}", fs.kind, fs.uuid));
    line(out, format_args!("  room        {} used, {} free", size(fs.used), size(fs.free)));
    if let Some((used, free)) = fs.inodes {
        line(out, format_args!("  inodes      {used} used, {free} free"));
    }
    if fs.seeded {
        line(out, format_args!("  seed        yes: this is one node's image, with its keys; keep it to yourself"));
    }
    if !fs.features.is_empty() {
        wrapped(out, "features", &fs.features);
    }
}

fn render_system(out: &mut String, system: &System) {
    line(out, format_args!("\nSystem        {}", if system.os.is_empty() { "of no name" } else { &system.os }));
    if let Some(m) = &system.manifest {
        line(
            out,
            format_args!("  made by     labimg {}, {} {} for {}, {}", m.labimg, m.suite, m.role, m.board, m.date),
        );
    }
    if let Some(k3s) = system.manifest.as_ref().and_then(|m| m.k3s.as_ref()) {
        line(out, format_args!("  k3s         {}", k3s.sentence()));
    }
    let containers = system.manifest.iter().flat_map(|m| &m.containers);
    let containers: Vec<String> = containers.map(|c| format!("{} {} ({})", c.name, c.version, size(c.size))).collect();
    if !containers.is_empty() {
        wrapped(out, "containers", &containers);
    }
    if !system.hostname.is_empty() {
        line(out, format_args!("  host name   {}", system.hostname));
    }
    line(out, format_args!("  files       {}", system.files));
    let installed = system.packages.iter().filter(|p| p.state == "installed").count();
    let pending: Vec<String> = system.packages.iter().filter(|p| p.is_pending()).map(|p| p.name.clone()).collect();
    // The numbers come from the image, so they may be anything.
    let kib = system.packages.iter().fold(0_u64, |sum, p| sum.saturating_add(p.installed_kib));
    line(
        out,
        format_args!(
            "  packages    {installed} installed, {} pending, {}",
            pending.len(),
            size(kib.saturating_mul(1024))
        ),
    );
    if !pending.is_empty() {
        wrapped(out, "pending", &pending);
    }
    let logins = system.users.iter().filter(|u| u.has_shell());
    let logins: Vec<String> = logins.map(|u| format!("{} ({}, password {})", u.name, u.uid, u.password)).collect();
    wrapped(out, "logins", &logins);
    wrapped(out, "enabled", &system.enabled);
    let ports: Vec<String> = system
        .ports
        .iter()
        .map(|p| format!("{}/{} {}", p.number, p.protocol, if p.purpose.is_empty() { &p.unit } else { p.purpose }))
        .collect();
    wrapped(out, "ports", &ports);
    if let Some(m) = system.manifest.as_ref().filter(|m| !m.layers.is_empty()) {
        line(out, format_args!("\nLayers"));
        for (name, entries, bytes) in families(&m.layers) {
            line(out, format_args!("  {name:<34} {entries:>6} entries {:>12}", size(bytes)));
        }
    }
    if !system.privileged.is_empty() {
        line(out, format_args!("\nFiles that give rights"));
        for file in &system.privileged {
            let with = if file.capabilities { " with capabilities" } else { "" };
            line(out, format_args!("  {} {}:{} {}{with}", file.mode, file.owner.0, file.owner.1, file.path));
        }
    }
    if !system.largest.is_empty() {
        line(out, format_args!("\nLargest files"));
        for (path, bytes) in &system.largest {
            line(out, format_args!("  {:>10}  {path}", size(*bytes)));
        }
    }
    if !system.packages.is_empty() {
        line(out, format_args!("\nPackages"));
        for p in &system.packages {
            let state = if p.state == "installed" { String::new() } else { format!(" {}", p.state) };
            line(out, format_args!("  {} {} {}{state}", p.name, p.version, p.architecture));
        }
    }
}

/// ` title word, word, …` on as many lines as needed.
fn wrapped(out: &mut String, title: &str, words: &[String]) {
    const WIDTH: usize = 100;
    let mut text = format!("  {title:<11}");
    let mut column = text.len();
    for (index, word) in words.iter().enumerate() {
        let comma = if index + 1 < words.len() { "," } else { "" };
        if index > 0 && column + word.len() + 2 > WIDTH {
            text.push_str("\n             ");
            column = 13;
        }
        text.push(' ');
        text.push_str(word);
        text.push_str(comma);
        column += word.len() + 1 + comma.len();
    }
    if words.is_empty() {
        text.push_str(" none");
    }
    line(out, format_args!("{text}"));
}

/// A size in a human-readable unit.
fn size(bytes: u64) -> String {
    labimg_tree::human::HumanBytes(bytes).to_string()
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    out.push_str(&printable(&text.to_string()));
    out.push('\n');
}

/// Names and texts come from the image: a control sequence in them must not reach the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The layers, where the hundreds of layers of packages (files, configuration) are added up to one each.
fn families(layers: &[RecordLayer]) -> Vec<(&str, u64, u64)> {
    let mut families: Vec<(&str, u64, u64)> = Vec::new();
    for layer in layers {
        let name = match layer.name.as_str() {
            name if name.starts_with("package ") => "packages",
            name if name.starts_with("configuration ") => "configuration of packages",
            name => name,
        };
        match families.iter_mut().find(|f| f.0 == name) {
            Some((_, entries, bytes)) => {
                *entries = entries.saturating_add(layer.entries);
                *bytes = bytes.saturating_add(layer.bytes);
            }
            None => families.push((name, layer.entries, layer.bytes)),
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut out = String::new();
        line(&mut out, format_args!("\nhost \u{1b}]0;x\u{7}\r\u{9b}2J grün"));
        assert_eq!(out, "\nhost \u{fffd}]0;x\u{fffd}\u{fffd}\u{fffd}2J grün\n");
    }

    #[test]
    fn layers_of_any_size_are_added_up() {
        let layer =
            |name: &str| RecordLayer { name: name.to_owned(), entries: u64::MAX, bytes: u64::MAX, paths: Vec::new() };
        let layers = [layer("package a"), layer("package b")];
        assert_eq!(families(&layers), [("packages", u64::MAX, u64::MAX)]);
    }
}
