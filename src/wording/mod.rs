//! Errors of the YAML, TOML and JSON parsers in words for the author of the text: a library's own message never reaches
//! the user alone. Also errors as one line, for warnings and reports.

mod json;
mod serde;
mod toml;
mod yaml;

use labimg_tree::fault::{Fault, whole};

pub(crate) use self::json::json;
pub(crate) use self::toml::{toml, toml_words};
pub(crate) use self::yaml::from_yaml;

/// What is wrong with a text, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Mistake {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
}

/// What is wrong, and what to do.
type Words = (String, Option<String>);

/// An error with its causes and what to do.
pub(crate) fn one_line(fault: &dyn Fault) -> String {
    let help = fault.help().map(|help| format!(" ({})", help.replace('\n', "; "))).unwrap_or_default();
    format!("{}{help}", whole(fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_testkit::words::in_words;
    use proptest::prelude::*;

    #[derive(Debug, ::serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what is read is not looked at")]
    struct Thing {
        a: String,
        b: Option<u8>,
        c: Option<Choice>,
        d: Option<Vec<(u8, bool)>>,
        e: Option<std::collections::BTreeMap<String, f32>>,
        f: Option<Box<Thing>>,
    }

    #[derive(Debug, ::serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[expect(dead_code, reason = "what is read is not looked at")]
    enum Choice {
        One,
        Two(u8),
        Three { x: bool },
    }

    /// A mistake is in the text, and all of it is one line in words.
    fn judge(text: &str, mistake: &Mistake) {
        assert!((1..=text.lines().count() + 1).contains(&mistake.line), "{text:?}: {mistake:?}");
        for said in [Some(mistake.what.as_str()), mistake.help.as_deref()].into_iter().flatten() {
            assert!(!in_words(said, text).is_empty() && !said.contains('\n'), "{text:?}: {said:?}");
        }
    }

    proptest! {
        #[test]
        fn every_mistake_has_a_line_and_words(
            text in "(a|b|c|d|e|f|x|: |=|\n|\n  |\n- |\"|'|“|,|\\[|\\]|\\{|\\}|one|two|three|&n |\\*n|<<|---\n|!!t |\\||>|#|\\\\u|null|true|1|-1|1e99|300|1979-01-01|\t|.){0,40}",
        ) {
            if let Err(error) = ::toml::from_str::<Thing>(&text) {
                judge(&text, &toml(&text, &error));
            }
            if let Err(error) = serde_json::from_str::<Thing>(&text) {
                judge(&text, &json(&error));
            }
            if let Err(mistake) = from_yaml::<Thing>(&text) {
                judge(&text, &mistake);
            }
        }
    }
}
