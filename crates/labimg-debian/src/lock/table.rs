//! A `Packages` file reduced to what resolving needs: one line per package, with tabs between its fields.
//!
//! Reading the 56 MB of Debian's `main` takes noticeable time; this form has a third of the size and needs no parser.

use crate::deb822::{Deb822Error, Stanza, Stanzas};
use crate::relation::is_package_name;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// Changes whenever the line format does, so that older tables are not read.
pub const KIND: &str = "packages-table-1";

const COLUMNS: usize = 14;

/// A package of an index, borrowed from its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Package name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The architecture of the index, or `all`.
    pub architecture: &'a str,
    /// `Multi-Arch: allowed`: `name:any` is also satisfied by it.
    pub allowed: bool,
    /// Value of `Essential: yes`.
    pub essential: bool,
    /// From 1, `required`, to 5, `extra`.
    pub priority: u8,
    /// The field with the same name, with folded lines joined.
    pub pre_depends: &'a str,
    /// As for `pre_depends`.
    pub depends: &'a str,
    /// As for `pre_depends`.
    pub provides: &'a str,
    /// As for `pre_depends`.
    pub conflicts: &'a str,
    /// As for `pre_depends`.
    pub breaks: &'a str,
    /// Path below the archive's base.
    pub filename: &'a str,
    /// Size of that file in bytes.
    pub size: u64,
    /// Digest of that file, hexadecimal.
    pub sha256: &'a str,
}

/// Why a `Packages` file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not made of control stanzas.
    #[error(transparent)]
    Syntax(#[from] Deb822Error),
    /// A stanza lacks a field, or has an invalid value.
    #[error("package `{package}` has {field} `{value}`, which is not valid")]
    Field {
        /// The package, if its name is known.
        package: String,
        /// The field.
        field: &'static str,
        /// Its value, empty when it is missing.
        value: String,
    },
}

impl Fault for TableError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Syntax(source) => source.kind(),
            Self::Field { .. } => FaultKind::World,
        }
    }
}

/// Makes the table of a `Packages` file for `architecture`. A pure function.
///
/// # Errors
/// The first stanza that is not a package.
pub fn make(packages: &str, architecture: &str) -> Result<String, TableError> {
    let mut table = String::with_capacity(packages.len() / 2);
    for stanza in Stanzas::new(packages) {
        row(&stanza?, architecture, &mut table)?;
    }
    Ok(table)
}

/// Makes the table of one package from its control file and the fields that an index adds.
///
/// # Errors
/// As [`make`].
pub fn of_control(
    control: &str,
    filename: &str,
    size: u64,
    sha256: &Sha256,
    architecture: &str,
) -> Result<String, TableError> {
    // Of equal fields the first counts, and the control file must not set these.
    make(&format!("Filename: {filename}\nSize: {size}\nSHA256: {sha256}\n{control}"), architecture)
}

fn row(stanza: &Stanza, architecture: &str, table: &mut String) -> Result<(), TableError> {
    let get = |field: &str| stanza.get(field).unwrap_or("");
    let checked = |field: &'static str, valid: &dyn Fn(&str) -> bool| {
        let value = get(field);
        if valid(value) {
            return Ok(value);
        }
        let package = get("Package").chars().take(80).collect();
        Err(TableError::Field { package, field, value: value.chars().take(80).collect() })
    };
    let plain = |v: &str| !v.is_empty() && !v.contains(char::is_whitespace);
    // The path becomes part of a URL below the mirror's base.
    let path = |v: &str| plain(v) && v.split('/').all(|p| !matches!(p, "" | "." | ".."));
    let columns = [
        checked("Package", &is_package_name)?,
        checked("Version", &plain)?,
        checked("Architecture", &|v| v == architecture || v == "all")?,
        if get("Multi-Arch") == "allowed" { "a" } else { "" },
        if get("Essential") == "yes" { "e" } else { "" },
        match get("Priority") {
            "required" => "1",
            "important" => "2",
            "standard" => "3",
            "extra" => "5",
            _ => "4",
        },
        get("Pre-Depends"),
        get("Depends"),
        get("Provides"),
        get("Conflicts"),
        get("Breaks"),
        checked("Filename", &path)?,
        checked("Size", &|v| v.parse::<u64>().is_ok())?,
        checked("SHA256", &|v| v.parse::<Sha256>().is_ok())?,
    ];
    for (number, column) in columns.iter().enumerate() {
        if number > 0 {
            table.push('\t');
        }
        if column.contains(['\t', '\n', '\r']) {
            let mut words = column.split_whitespace();
            table.extend(words.next());
            words.for_each(|word| {
                table.push(' ');
                table.push_str(word);
            });
        } else {
            table.push_str(column);
        }
    }
    table.push('\n');
    Ok(())
}

/// The packages of a table. A line that [`make`] cannot have written is `Err` with its line number from 1.
pub fn records(table: &str) -> impl Iterator<Item = Result<Record<'_>, usize>> {
    table.lines().enumerate().map(|(number, line)| record(line).ok_or(number + 1))
}

fn record(line: &str) -> Option<Record<'_>> {
    let mut fields = [""; COLUMNS];
    let mut values = line.split('\t');
    for field in &mut fields {
        *field = values.next()?;
    }
    let [name, version, architecture, allowed, essential, priority, pre_depends, depends, provides, rest @ ..] = fields;
    let [conflicts, breaks, filename, size, sha256] = rest;
    values.next().is_none().then_some(())?;
    Some(Record {
        name,
        version,
        architecture,
        allowed: !allowed.is_empty(),
        essential: !essential.is_empty(),
        priority: priority.parse().ok()?,
        pre_depends,
        depends,
        provides,
        conflicts,
        breaks,
        filename,
        size: size.parse().ok()?,
        sha256,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANZA: &str = "Package: a\nVersion: 1:2-3\nArchitecture: arm64\nMulti-Arch: allowed\nEssential: yes\nPriority: required\n\
        Pre-Depends: libc6 (>= 2)\nDepends: b,\n c | d\nProvides: e (= 1)\nConflicts: f\nBreaks: g (<< 1)\nDescription: x\n y\n\
        Filename: pool/main/a/a/a_2-3_arm64.deb\nSize: 7\n\
        SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\n";

    #[test]
    fn there_and_back() {
        let all = STANZA
            .replace("Package: a\n", "Package: b\n")
            .replace("arm64\nM", "all\nM")
            .replace("Essential: yes\n", "");
        let table = make(&format!("{STANZA}{all}"), "arm64").unwrap();
        let records: Vec<_> = records(&table).collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), 2);
        let a = records[0];
        assert_eq!(
            (a.name, a.version, a.architecture, a.allowed, a.essential, a.priority),
            ("a", "1:2-3", "arm64", true, true, 1)
        );
        assert_eq!((a.pre_depends, a.depends, a.provides), ("libc6 (>= 2)", "b, c | d", "e (= 1)"));
        assert_eq!((a.conflicts, a.breaks, a.filename, a.size), ("f", "g (<< 1)", "pool/main/a/a/a_2-3_arm64.deb", 7));
        assert!(!records[1].essential && records[1].architecture == "all");
    }

    #[test]
    fn a_control_file_as_an_index_lists_it() {
        let control = "Package: a\nVersion: 1\nArchitecture: all\nDepends: b\nSize: 9\nDescription: x\n y\n";
        let table = of_control(control, "pool/a.deb", 7, &Sha256::of("a"), "arm64").unwrap();
        let [a] = records(&table).collect::<Result<Vec<_>, _>>().unwrap()[..] else { panic!("{table}") };
        let hash = Sha256::of("a").to_string();
        assert_eq!((a.name, a.version, a.depends), ("a", "1", "b"));
        assert_eq!((a.filename, a.size, a.sha256), ("pool/a.deb", 7, hash.as_str()));
    }

    #[test]
    fn stanzas_that_are_no_packages() {
        let bad = |from: &str, to: &str| make(&STANZA.replace(from, to), "arm64").unwrap_err().to_string();
        assert!(bad("Package: a", "Package: A b").contains("has Package `A b`"));
        assert!(bad("Version: 1:2-3\n", "").contains("package `a` has Version ``"));
        assert!(bad("Architecture: arm64", "Architecture: amd64").contains("`amd64`"));
        assert!(bad("pool/main", "pool/../..").contains("Filename"));
        assert!(bad("Size: 7", "Size: x").contains("Size"));
        assert!(bad("e3b0", "e3").contains("SHA256"));
        assert!(bad("Size: 7", "nonsense").contains("not a `Field: value`"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "((Package|Version|Depends|Size):|[ \t\na-c0-9é])*", table in "[\ta-c1\n]*") {
            let _ = make(&text, "arm64");
            let _ = records(&table).count();
        }
    }
}
