//! Errors of the YAML, TOML and JSON parsers in words for the author of the text: a library's own message never reaches
//! the user alone. Also errors as one line, for warnings and reports.

mod json;
mod serde;
mod toml;
mod yaml;

use labimg_tree::fault::{Fault, whole};

pub(crate) use self::json::json;
pub(crate) use self::toml::{toml, toml_words};
pub(crate) use self::yaml::yaml;

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
