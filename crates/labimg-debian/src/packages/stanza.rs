//! One package's stanza in dpkg's status file, as dpkg writes it (field order: dpkg's `parse.c`; format: `dump.c`).

use super::package::NOT_INSTALLED;
use super::{Package, PackagesError, State};
use crate::deb822::Stanza;
use crate::relation;

/// The fields that dpkg knows, in the order in which it writes them; others follow in the package's order.
const KNOWN: [&str; 27] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Config-Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
    "Triggers-Pending",
];

/// Fields that dpkg parses and formats again.
const RELATIONS: [&str; 9] =
    ["Replaces", "Provides", "Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances"];

/// The stanza, with a newline after the last field.
pub(super) fn text(package: &Package) -> Result<String, PackagesError> {
    let bad = |what: String| PackagesError::Control { package: package.name.clone(), what };
    let stanza = Stanza::parse(&package.control).map_err(|e| bad(e.to_string()))?;
    let mut out = String::new();
    for field in KNOWN {
        let value = match field {
            "Status" => Some(format!("install ok {}", package.state.word())),
            "Conffiles" => conffiles(package),
            "Triggers-Pending" => match &package.state {
                State::TriggersPending(names) => Some(names.join(" ")),
                _ => None,
            },
            // Only written for half-configured and removed packages.
            "Config-Version" => None,
            "Essential" | "Protected" => stanza.get(field).filter(|v| *v == "yes").map(str::to_owned),
            "Multi-Arch" => stanza.get(field).filter(|v| *v != "no").map(str::to_owned),
            _ if RELATIONS.contains(&field) => {
                let value = stanza.get(field).unwrap_or_default();
                let groups = relation::parse(value).map_err(|e| bad(format!("{field}: {e}")))?;
                let group =
                    |g: &Vec<relation::Relation<'_>>| g.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
                (!groups.is_empty()).then(|| groups.iter().map(group).collect::<Vec<_>>().join(", "))
            }
            _ => stanza.get(field).map(str::to_owned),
        };
        if let Some(value) = value {
            push(&mut out, field, &value);
        }
    }
    for (name, value) in stanza.fields() {
        if !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            push(&mut out, name, value);
        }
    }
    Ok(out)
}

fn push(out: &mut String, field: &str, value: &str) {
    let space = if value.starts_with('\n') { "" } else { " " };
    out.extend([field, ":", space, value, "\n"]);
}

/// The packaged MD5 sums of installed conffiles: not while the package is only unpacked, and never for files that
/// another package took over.
fn conffiles(package: &Package) -> Option<String> {
    let line = |c: &super::Conffile| {
        let lost = c.md5 != NOT_INSTALLED && !package.files.contains(&c.path);
        let md5 = if lost || package.state == State::Unpacked { NOT_INSTALLED } else { &c.md5 };
        let obsolete = if lost { " obsolete" } else { "" };
        let flag = if c.remove_on_upgrade { " remove-on-upgrade" } else { "" };
        format!("\n {} {md5}{obsolete}{flag}", c.path)
    };
    (!package.conffiles.is_empty()).then(|| package.conffiles.iter().map(line).collect())
}
