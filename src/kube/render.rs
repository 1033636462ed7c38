//! A status as text: a table, and the changes since the last one.

use super::{State, Status};

/// Longest detail in a table, in characters, so that a row fits a terminal line.
const DETAIL: usize = 60;

/// The table, with a newline after each row.
#[must_use]
pub fn render(status: &Status) -> String {
    let mut text = String::new();
    let mut section = |head: &[&str], rows: Vec<Vec<String>>| {
        if !rows.is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&table(head, &rows));
        }
    };
    let nodes = status.nodes.iter().map(|n| {
        let roles = if n.roles.is_empty() && n.state != State::Missing { "worker" } else { &n.roles };
        let cells = [&n.name, n.state.word(), roles, &n.version, &n.address];
        row(&cells, &n.detail)
    });
    section(&["NODE", "STATE", "ROLES", "VERSION", "ADDRESS", ""], nodes.collect());
    let addons = status.addons.iter().map(|a| row(&[&a.name, a.state.word(), &a.source], &a.detail));
    section(&["ADDON", "STATE", "MANIFEST", ""], addons.collect());
    let charts = status.charts.iter().map(|c| row(&[&c.name, c.state.word(), &c.namespace], &c.detail));
    section(&["CHART", "STATE", "NAMESPACE", ""], charts.collect());
    text
}

fn row(cells: &[&str], detail: &str) -> Vec<String> {
    let mut row: Vec<String> = cells.iter().map(|cell| clean(cell)).collect();
    let mut detail = clean(detail);
    if detail.chars().count() > DETAIL {
        detail = detail.chars().take(DETAIL - 1).chain(['…']).collect();
    }
    row.push(detail);
    row
}

/// Removes control characters: text from a cluster must not control the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| all().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    all().map(line).collect()
}

/// One line for everything that is new or has changed its state.
#[must_use]
pub fn changes(before: Option<&Status>, now: &Status) -> Vec<String> {
    let lines = |status: &Status| -> Vec<(String, String)> {
        let line = |kind: &str, name: &str, state: State, detail: &str| {
            let detail = if detail.is_empty() { String::new() } else { format!(" ({})", clean(detail)) };
            (format!("{kind} {}", clean(name)), format!("{}{detail}", state.word()))
        };
        let nodes = status.nodes.iter().map(|n| line("node", &n.name, n.state, &n.detail));
        let addons = status.addons.iter().map(|a| line("AddOn", &a.name, a.state, &a.detail));
        let charts = status.charts.iter().map(|c| line("chart", &c.name, c.state, &c.detail));
        nodes.chain(addons).chain(charts).collect()
    };
    let old = before.map(lines).unwrap_or_default();
    let new = lines(now).into_iter().filter(|line| !old.contains(line));
    new.map(|(what, state)| format!("{what}: {state}")).collect()
}
