//! Control files: stanzas of `Field: value` with folded lines (deb822(5), Debian Policy 5.1). Values borrow from the
//! text.

use labimg_tree::fault::{Fault, FaultKind};

/// A line that is neither a field, a continuation, a comment nor empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Deb822Error {
    /// Line number in the text, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl Fault for Deb822Error {
    fn kind(&self) -> FaultKind {
        FaultKind::World
    }
}

/// One paragraph: its fields in order, with unchanged values (folded lines keep their newlines and indent).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stanza<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Stanza<'a> {
    /// The first stanza of a text; an empty one when there is none.
    ///
    /// # Errors
    /// The first bad line.
    pub fn parse(text: &'a str) -> Result<Self, Deb822Error> {
        Stanzas::new(text).next().unwrap_or(Ok(Self::default()))
    }

    /// A field's value, its name compared without case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| *v)
    }

    /// The fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.0.iter().copied()
    }
}

/// Iterates over the stanzas of a text.
#[derive(Debug, Clone)]
pub struct Stanzas<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Stanzas<'a> {
    /// Starts at the beginning of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 0 }
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, Deb822Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields: Vec<(&'a str, &'a str)> = Vec::new();
        // Start and end of the last field's value, so that folded lines extend it without a copy.
        let text = self.rest;
        let mut at = 0;
        let mut value_start = 0;
        while at < text.len() {
            let end = text[at..].find('\n').map_or(text.len(), |p| at + p);
            let line = &text[at..end];
            let line_start = at;
            at = (end + 1).min(text.len());
            self.line += 1;
            if line.trim_end().is_empty() {
                if fields.is_empty() {
                    continue;
                }
                break;
            }
            if line.starts_with('#') {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                let Some(last) = fields.last_mut() else {
                    self.rest = "";
                    return Some(Err(Deb822Error { line: self.line, what: "a folded line without a field above it" }));
                };
                last.1 = text[value_start..end].trim_end();
                continue;
            }
            let Some((name, value)) = line.split_once(':').filter(|(n, _)| is_field_name(n)) else {
                self.rest = "";
                return Some(Err(Deb822Error { line: self.line, what: "not a `Field: value`" }));
            };
            value_start = line_start + name.len() + 1;
            value_start += value.len() - value.trim_start_matches([' ', '\t']).len();
            fields.push((name, value.trim()));
        }
        self.rest = &text[at..];
        (!fields.is_empty()).then_some(Ok(Stanza(fields)))
    }
}

fn is_field_name(name: &str) -> bool {
    // Policy 5.1: printable US-ASCII without space and colon, not starting with `#` or `-`.
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(|b| (33..=126).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stanzas_fields_and_folds() {
        let text = "\nPackage: a\nDescription: short\n long\n .\n more\n# note\nversion:1\n\n\nPackage: b\n";
        let all: Vec<_> = Stanzas::new(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("Version"), Some("1"));
        assert_eq!(all[0].get("description"), Some("short\n long\n .\n more"));
        assert_eq!(all[1].get("Package"), Some("b"));
    }

    #[test]
    fn an_empty_first_line_of_a_folded_value() {
        let stanza = Stanza::parse("Conffiles:\n /etc/a 0\n /etc/b 1\n").unwrap();
        assert_eq!(stanza.get("Conffiles").unwrap().trim_start(), "/etc/a 0\n /etc/b 1");
    }

    #[test]
    fn bad_lines_are_named() {
        assert_eq!(Stanzas::new("A: 1\n\nnonsense\n").nth(1).unwrap().unwrap_err().line, 3);
        assert_eq!(Stanzas::new(" fold\n").next().unwrap().unwrap_err().line, 1);
    }

    proptest! {
        #[test]
        fn no_text_panics_or_runs_forever(text in "[ \ta:#\n\r-é]{0,200}") {
            prop_assert!(Stanzas::new(&text).count() <= text.len() + 1);
        }
    }
}
