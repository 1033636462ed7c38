//! Mistakes in a `lab.toml`, with positions.

use std::fmt::Write;
use std::ops::Range;
use std::path::PathBuf;

use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::human::shell_word;

/// Why a `lab.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A folder has no `lab.toml`.
    #[error("there is no lab.toml in {}", .folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// The given path does not exist.
    #[error("there is neither a file nor a folder {}", .path.display())]
    NoSuch {
        /// Its path.
        path: PathBuf,
    },
    /// It is not a regular file.
    #[error("{} is not a file", .file.display())]
    NoFile {
        /// Its path.
        file: PathBuf,
    },
    /// It cannot be read; the error names the file.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It is too large for a `lab.toml`.
    #[error("{} is larger than 256 KiB: that is not a {}", .file.display(), super::FILE)]
    TooLarge {
        /// Its path.
        file: PathBuf,
    },
    /// It is not UTF-8.
    #[error("{}:{line}: a character is not UTF-8", .file.display())]
    NoText {
        /// Its path.
        file: PathBuf,
        /// The line of the first invalid byte, from 1.
        line: usize,
    },
    /// A board, role or overlay beside it is wrong.
    #[error(transparent)]
    Parts(#[from] crate::parts::PartsError),
    /// It has mistakes.
    #[error("{}", summary(.file, .text, .problems))]
    Invalid {
        /// Its path.
        file: PathBuf,
        /// Its text, to which the spans refer.
        text: String,
        /// All mistakes, in the order of the file; at least one.
        problems: Vec<Problem>,
    },
}

impl Fault for LabError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } | Self::NoSuch { .. } => FaultKind::Usage,
            Self::NoFile { .. } | Self::TooLarge { .. } | Self::NoText { .. } | Self::Invalid { .. } => {
                FaultKind::Configuration
            }
            Self::Read(_) => FaultKind::World,
            Self::Parts(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { folder } => Some(format!("`labimg new {}` writes one", shell_word(folder))),
            Self::NoText { .. } => Some("save the file as UTF-8 text".to_owned()),
            Self::Parts(source) => source.help(),
            Self::NoSuch { .. }
            | Self::NoFile { .. }
            | Self::Read(_)
            | Self::TooLarge { .. }
            | Self::Invalid { .. } => None,
        }
    }
}

/// A mistake, or something that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its bytes in the text; an empty range at the end when something is missing.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    /// Other places involved.
    pub also: Vec<Label>,
}

/// Another place involved in a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its bytes.
    pub span: Range<usize>,
    /// What is there.
    pub text: String,
}

/// A position in a text: line and column from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Place {
    /// The position of byte `offset` in `text`; the end when it is beyond that.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.char_indices().take_while(|(i, _)| *i < offset);
        let mut place = Self { line: 1, column: 1 };
        for (_, c) in before {
            place = match c {
                '\n' => Self { line: place.line + 1, column: 1 },
                _ => Self { column: place.column + 1, ..place },
            };
        }
        place
    }
}

impl Problem {
    /// A problem without help.
    #[must_use]
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None, also: Vec::new() }
    }

    /// A problem with help.
    #[must_use]
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Adds help.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Adds another place.
    pub(super) fn also(&mut self, span: Range<usize>, text: impl Into<String>) -> &mut Self {
        self.also.push(Label { span, text: text.into() });
        self
    }
}

/// One line per mistake, as compilers print them: for logs and for programs without a better renderer.
fn summary(file: &std::path::Path, text: &str, problems: &[Problem]) -> String {
    let mut lines = String::new();
    for problem in problems {
        let place = Place::of(text, problem.span.start);
        let separator = if lines.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(lines, "{separator}{}:{}:{}: {}", file.display(), place.line, place.column, problem.message);
    }
    lines
}
