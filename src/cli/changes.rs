//! Shows changes as text.

use std::fmt::Write;

use labimg_tree::human::{HumanBytes, total};

use crate::changes::{Change, Version};

/// One line per change: `+` for something new, `-` for something removed.
pub fn changes_text<'c>(changes: impl IntoIterator<Item = &'c Change>) -> String {
    let mut text = String::new();
    let versions = |all: &[Version]| all.iter().map(|v| v.version.as_str()).collect::<Vec<_>>().join(", ");
    let size = |all: &[Version]| total(all.iter().map(|v| v.size));
    for Change { name, from, to } in changes {
        let (old, new) = (size(from), size(to));
        let _ = match (from.is_empty(), to.is_empty()) {
            (true, _) => writeln!(text, "+ {name:<28} {} ({})", versions(to), HumanBytes(new)),
            (_, true) => writeln!(text, "- {name:<28} {} ({})", versions(from), HumanBytes(old)),
            _ => {
                let (sign, by) = (if new < old { "-" } else { "+" }, HumanBytes(new.abs_diff(old)));
                writeln!(text, "  {name:<28} {} -> {} ({}, {sign}{by})", versions(from), versions(to), HumanBytes(new))
            }
        };
    }
    text
}
