//! What to leave out when packages are unpacked: dpkg's `path-exclude` and `path-include` (dpkg(1)), in its own configuration
//! syntax, so that the same file can lie on the node (`/etc/dpkg/dpkg.cfg.d/`) and later installs leave the same things out.

use crate::deb::tar::EntryKind;
use labimg_tree::TreePath;

/// Rules in order; of those that match a path the last one wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excludes(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    include: bool,
    pattern: Vec<u8>,
}

/// A line that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` is not `path-exclude PATTERN` or `path-include PATTERN`")]
pub struct ExcludesError {
    /// Line number from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

impl Excludes {
    /// Leaves nothing out.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads rules in the syntax of dpkg's configuration files: an option a line, its value after a space or `=`, `#` comments.
    ///
    /// # Errors
    /// The first line that is something else.
    pub fn parse(config: &str) -> Result<Self, ExcludesError> {
        let mut rules = Vec::new();
        for (number, line) in config.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || ExcludesError { line: number + 1, text: line.to_owned() };
            let (name, value) = line.split_once(|c: char| c == '=' || c.is_ascii_whitespace()).ok_or_else(bad)?;
            let value = value.trim_start_matches(|c: char| c == '=' || c.is_ascii_whitespace());
            // dpkg takes one pair of quotes off.
            let quoted = ['"', '\''].iter().find_map(|&q| value.strip_prefix(q)?.strip_suffix(q));
            let pattern = quoted.unwrap_or(value).as_bytes().to_vec();
            let include = match name {
                "path-exclude" => false,
                "path-include" => true,
                _ => return Err(bad()),
            };
            rules.push(Rule { include, pattern });
        }
        Ok(Self(rules))
    }

    /// Whether an entry of a package is to be left out.
    #[must_use]
    pub fn skip(&self, path: &TreePath, kind: &EntryKind) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let text = [b"/", path.as_bytes()].concat();
        let last = self.0.iter().rev().find(|rule| matches(&rule.pattern, &text));
        let skip = last.is_some_and(|rule| !rule.include);
        // A folder, or a link that may be one, stays when something in it could be brought back by an include.
        let may_hold = || {
            self.0.iter().filter(|rule| rule.include).any(|rule| {
                let wild = rule.pattern.iter().position(|b| b"*?[\\".contains(b)).unwrap_or(rule.pattern.len());
                let mut fixed = &rule.pattern[..wild];
                while let Some(shorter) = fixed.strip_suffix(b"/") {
                    fixed = shorter;
                }
                text.starts_with(fixed)
            })
        };
        skip && !(matches!(kind, EntryKind::Dir | EntryKind::Symlink(_)) && may_hold())
    }
}

/// fnmatch(3) without flags: `*` and `?` match `/` as well, `[…]` is a set, `\` takes the next character as it is.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // The last `*` seen, and where in the text its match ends so far: going back to it is all the search there need be.
    let mut star: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    loop {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if let (Some(rest), Some(&byte)) = (pattern.get(p..), text.get(t))
            && let Some(length) = one(rest, byte)
        {
            p += length;
            t += 1;
            continue;
        }
        match star {
            Some((after, end)) if end < text.len() => {
                star = Some((after, end + 1));
                (p, t) = (after, end + 1);
            }
            _ => return false,
        }
    }
}

/// How many bytes of the pattern match this byte; none when they do not.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'\\' => (*pattern.get(1)? == byte).then_some(2),
        b'[' => match set(pattern, byte) {
            Some((length, true)) => Some(length),
            Some((_, false)) => None,
            // Without its end it is an ordinary character.
            None => (byte == b'[').then_some(1),
        },
        literal => (literal == byte).then_some(1),
    }
}

/// Length of the set that begins here and whether it holds the byte; `None` when it has no end.
fn set(pattern: &[u8], byte: u8) -> Option<(usize, bool)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = 1 + usize::from(negated);
    let mut at = first;
    let mut found = false;
    loop {
        match *pattern.get(at)? {
            b']' if at > first => return Some((at + 1, found != negated)),
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                let name = pattern.get(at + 2..)?;
                let end = name.windows(2).position(|w| w == b":]")?;
                found |= in_class(&name[..end], byte);
                at += end + 4;
                continue;
            }
            _ => {}
        }
        let (low, next) = literal(pattern, at)?;
        at = next;
        let high = match (pattern.get(at), pattern.get(at + 1)) {
            (Some(b'-'), Some(&end)) if end != b']' => {
                let (high, next) = literal(pattern, at + 1)?;
                at = next;
                high
            }
            _ => low,
        };
        found |= (low..=high).contains(&byte);
    }
}

fn literal(pattern: &[u8], at: usize) -> Option<(u8, usize)> {
    match *pattern.get(at)? {
        b'\\' => Some((*pattern.get(at + 1)?, at + 2)),
        byte => Some((byte, at + 1)),
    }
}

fn in_class(name: &[u8], byte: u8) -> bool {
    match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        for (pattern, text, want) in [
            ("/usr/share/doc/*", "/usr/share/doc/a/b", true),
            ("/usr/share/doc/*", "/usr/share/doc", false),
            ("/usr/*/copyright", "/usr/share/doc/a/copyright", true),
            ("/a/[b-d]x", "/a/cx", true),
            ("/a/[!b-d]x", "/a/cx", false),
            ("/a/[]]x", "/a/]x", true),
            ("/a/[[:digit:]_]", "/a/_", true),
            ("/a/[x", "/a/[x", true),
            (r"/a/\*", "/a/*", true),
            (r"/a/\*", "/a/b", false),
            ("*a*b*c", "xxaxxbxxbxxc", true),
            ("?", "/", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), want, "{pattern} {text}");
        }
    }

    #[test]
    fn the_last_rule_wins_and_folders_stay_for_includes() {
        let rules = "# lean\npath-exclude=/usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n";
        let rules = Excludes::parse(rules).unwrap();
        let file = EntryKind::File { offset: 0, size: 0 };
        let skip = |path: &str, kind: &EntryKind| rules.skip(&TreePath::new(path).unwrap(), kind);
        assert!(skip("usr/share/doc/a/changelog.gz", &file));
        assert!(!skip("usr/share/doc/a/copyright", &file));
        assert!(!skip("usr/share/doc/a", &EntryKind::Dir));
        assert!(!skip("usr/share/man/a", &file));
        assert!(Excludes::parse("path-exclude").is_err());
        assert!(Excludes::parse("no-debsig\n").is_err());
    }

    /// The matching rule written down without any cleverness.
    fn plainly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', rest @ ..] => (0..=text.len()).any(|n| plainly(rest, &text[n..])),
            _ => text.first().is_some_and(|&b| one(pattern, b).is_some_and(|n| plainly(&pattern[n..], &text[1..]))),
        }
    }

    proptest! {
        #[test]
        fn going_back_only_to_the_last_star_is_enough(pattern in "[ab*?\\[\\]!\\\\/-]{0,8}", text in "[ab/\\]-]{0,8}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), plainly(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_rules_panic(config in "(path-(ex|in)clude[ =][!-~]{0,12}\n){0,3}", path in "[ -~]{0,20}") {
            if let (Ok(rules), Ok(path)) = (Excludes::parse(&config), TreePath::new(&path)) {
                let _ = rules.skip(&path, &EntryKind::Dir);
            }
        }
    }
}
