//! Relations between packages: `Depends`, `Conflicts`, `Provides` and the like (Debian Policy 7.1).

use std::cmp::Ordering;
use std::fmt;

use super::version;
use labimg_tree::fault::{Fault, FaultKind};

/// How a version must compare with the one named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`, and the old `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the old `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Whether `version` has this relation to `limit`.
    #[must_use]
    pub fn holds(self, version: &str, limit: &str) -> bool {
        let order = version::compare(version, limit);
        match self {
            Self::Earlier => order == Ordering::Less,
            Self::EarlierOrEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::LaterOrEqual => order != Ordering::Less,
            Self::Later => order == Ordering::Greater,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Earlier => "<<",
            Self::EarlierOrEqual => "<=",
            Self::Equal => "=",
            Self::LaterOrEqual => ">=",
            Self::Later => ">>",
        })
    }
}

/// One package named in a relation field: `name:arch (>= version) [architectures]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relation<'a> {
    /// The package, or a name that packages provide.
    pub name: &'a str,
    /// `any`, `native` or an architecture, after the colon.
    pub qualifier: Option<&'a str>,
    /// The required version.
    pub version: Option<(Operator, &'a str)>,
    /// The architectures to which it applies, as written; a leading `!` excludes one. Empty means all.
    pub architectures: Vec<&'a str>,
}

impl<'a> Relation<'a> {
    /// A package of this name in any version.
    #[must_use]
    pub fn plain(name: &'a str) -> Self {
        Self { name, qualifier: None, version: None, architectures: Vec::new() }
    }

    /// Whether a package with this version satisfies it.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        self.version.is_none_or(|(operator, limit)| operator.holds(version, limit))
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.version {
            write!(f, " ({operator} {version})")?;
        }
        if !self.architectures.is_empty() {
            write!(f, " [{}]", self.architectures.join(" "))?;
        }
        Ok(())
    }
}

/// A part of a relation field with wrong syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{part}` is not a package relation: {what}")]
pub struct RelationError {
    /// The part, as written.
    pub part: String,
    /// What is wrong.
    pub what: &'static str,
}

impl Fault for RelationError {
    fn kind(&self) -> FaultKind {
        FaultKind::World
    }
}

/// Parses a relation field: all of the outer list must be met, and one of each inner list.
///
/// # Errors
/// The first part with a wrong syntax.
pub fn parse(field: &str) -> Result<Vec<Vec<Relation<'_>>>, RelationError> {
    let field = field.trim();
    if field.is_empty() {
        return Ok(Vec::new());
    }
    // A trailing comma is tolerated, as in dpkg.
    field
        .strip_suffix(',')
        .unwrap_or(field)
        .split(',')
        .map(|group| group.split('|').map(|part| one(part.trim())).collect())
        .collect()
}

/// Parses one relation, such as `libc6 (>= 2.36)`.
///
/// # Errors
/// What is wrong with it.
pub fn one(part: &str) -> Result<Relation<'_>, RelationError> {
    let bad = |what| RelationError { part: part.chars().take(120).collect(), what };
    let end = part.find(|c: char| c.is_whitespace() || "([<:".contains(c)).unwrap_or(part.len());
    let (name, rest) = part.split_at(end);
    if !is_package_name(name) {
        return Err(bad("the package name has other than lower-case letters, digits and `+-.`"));
    }
    let (qualifier, rest) = match rest.strip_prefix(':') {
        None => (None, rest),
        Some(rest) => {
            let end = rest.find(|c: char| c.is_whitespace() || "([<".contains(c)).unwrap_or(rest.len());
            let (qualifier, rest) = rest.split_at(end);
            if qualifier.is_empty() || !qualifier.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return Err(bad("the architecture after the colon is not a name"));
            }
            (Some(qualifier), rest)
        }
    };
    let (version, rest) = match rest.trim_start().strip_prefix('(') {
        None => (None, rest),
        Some(rest) => {
            let (inside, rest) = rest.split_once(')').ok_or_else(|| bad("the bracket of the version is not closed"))?;
            (Some(limit(inside).ok_or_else(|| bad("the version is not an operator and a version"))?), rest)
        }
    };
    let (architectures, rest) = match rest.trim_start().strip_prefix('[') {
        None => (Vec::new(), rest),
        Some(rest) => {
            let (inside, rest) = rest.split_once(']').ok_or_else(|| bad("the list of architectures is not closed"))?;
            let list: Vec<_> = inside.split_whitespace().collect();
            let negated = list.iter().filter(|a| a.starts_with('!')).count();
            if list.is_empty() || (negated != 0 && negated != list.len()) {
                return Err(bad("the architectures must be all with `!` or all without, and at least one"));
            }
            (list, rest)
        }
    };
    if !rest.trim().is_empty() {
        return Err(bad("there is something after its end"));
    }
    Ok(Relation { name, qualifier, version, architectures })
}

/// `>= 1.0`, with or without the space.
fn limit(inside: &str) -> Option<(Operator, &str)> {
    let inside = inside.trim();
    let operators = [
        ("<<", Operator::Earlier),
        ("<=", Operator::EarlierOrEqual),
        (">=", Operator::LaterOrEqual),
        (">>", Operator::Later),
        ("=", Operator::Equal),
        // Policy 7.1: these two old forms mean the "or equal" ones.
        ("<", Operator::EarlierOrEqual),
        (">", Operator::LaterOrEqual),
    ];
    let (rest, operator) =
        operators.iter().find_map(|(sign, operator)| Some((inside.strip_prefix(sign)?, *operator)))?;
    let version = rest.trim();
    let valid = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+~:".contains(&b));
    valid.then_some((operator, version))
}

/// Policy 5.6.1, except that a single character and capitals are allowed, as in dpkg, for names from other archives.
#[must_use]
pub fn is_package_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_field_with_everything() {
        let groups =
            parse("libc6 (>= 2.36), a:any | b(<<1:2~) [arm64 armhf] |c [!i386],\n python3:native (= 3),").unwrap();
        let text: Vec<Vec<String>> = groups.iter().map(|g| g.iter().map(Relation::to_string).collect()).collect();
        assert_eq!(
            text,
            [
                vec!["libc6 (>= 2.36)".to_owned()],
                vec!["a:any".to_owned(), "b (<< 1:2~) [arm64 armhf]".to_owned(), "c [!i386]".to_owned()],
                vec!["python3:native (= 3)".to_owned()],
            ]
        );
        assert_eq!(groups[1][1].architectures, ["arm64", "armhf"]);
        assert_eq!(groups[1][2].architectures, ["!i386"]);
        assert!(parse(" \n").unwrap().is_empty());
    }

    #[test]
    fn operators() {
        let accepts = |limit: &str, version| one(&format!("a ({limit})")).unwrap().accepts(version);
        assert!(accepts(">= 1.0", "1.00") && accepts("> 1", "1") && accepts("<1", "1") && accepts("= 1:0", "1:0"));
        assert!(!accepts(">> 1", "1") && !accepts("<< 1", "1") && accepts("<< 1", "1~") && !accepts("= 1", "1-1"));
    }

    #[test]
    fn bad_relations() {
        for bad in
            ["a,,b", "a||b", "a (1)", "a (>= )", "a (>= 1", "a [arm64", "a []", "a [x !y]", "a b", "(>= 1)", "ä", "a:"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[a-b0:|,()<>=!\\[\\] é~.-]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_reads_the_same(name in "[a-z0-9][a-z0-9+.-]{1,8}", operator in "<<|<=|=|>=|>>", version in "[0-9][0-9a-z.+~]{0,6}") {
            let text = format!("{name} ({operator} {version})");
            prop_assert_eq!(one(&text).unwrap().to_string(), text);
        }
    }
}
