//! The one place that prints results and errors; [`labimg_tree::progress`] shows progress.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use miette::Severity;
use serde::Serialize;

use super::problems;
use crate::lab::{Checked, LabError, Problem};
use crate::parts::PartsError;
use labimg_tree::interrupt;

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// What the user asked for cannot be: exit code 2.
    Usage(Box<dyn Error>),
    /// The work failed: exit code 1.
    Work(Box<dyn Error>),
    /// Mistakes in a `lab.toml`, shown each with its place: exit code 2.
    Lab {
        /// The file.
        file: PathBuf,
        /// Its text.
        text: String,
        /// The mistakes.
        problems: Vec<Problem>,
    },
    /// Standard output was closed, as by `| head`: silent, exit code 0.
    ClosedPipe,
}

impl Failure {
    /// The user asked for something that cannot be.
    pub fn usage(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Usage(error.into())
    }

    /// A `lab.toml` that cannot be used.
    pub fn lab(error: LabError) -> Self {
        match error {
            LabError::Invalid { file, text, problems } => Self::Lab { file, text, problems },
            LabError::Read(_) | LabError::Parts(PartsError::Read(_)) => Self::work(error),
            _ => Self::usage(error),
        }
    }

    /// The work failed.
    pub fn work(error: impl Into<Box<dyn Error>>) -> Self {
        Self::Work(error.into())
    }
}

/// Prints results: text, or JSON with `--json`.
#[derive(Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON or text.
    #[must_use]
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result in the form that the user chose.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        let text = if self.json {
            let mut json = serde_json::to_string_pretty(value).map_err(Failure::work)?;
            json.push('\n');
            json
        } else {
            text(value)
        };
        Self::text(&text)
    }

    /// Prints a text as it is.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn text(text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| match e.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::work(format!("writing to standard output: {e}")),
        })
    }

    /// Asks on the terminal; anything but `y` or `yes` is a no. Without a terminal nobody can answer.
    ///
    /// # Errors
    /// [`Failure::Usage`] with `otherwise` (which option to give instead) when standard input is no terminal.
    pub fn confirm(question: &str, otherwise: &str) -> Result<bool, Failure> {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::usage(otherwise));
        }
        let mut answer = String::new();
        let asked = write!(std::io::stderr().lock(), "{question} [y/N] ");
        asked.and_then(|()| std::io::stdin().read_line(&mut answer)).map_err(Failure::work)?;
        Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }

    /// Shows what a `lab.toml` says that is hardly meant, with its places; with `--json` it is for the result to say.
    pub fn warnings(&self, checked: &Checked) {
        if !self.json {
            let text = problems::draw(&checked.file, &checked.text, &checked.warnings, Severity::Warning);
            // A closed standard error is no reason to stop.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        }
    }

    /// Prints an error with its causes and gives the exit code.
    #[must_use]
    pub fn fail(self, failure: &Failure) -> ExitCode {
        let (error, code) = match failure {
            Failure::ClosedPipe => return ExitCode::SUCCESS,
            _ if interrupt::requested() => {
                self.error("interrupted", &[], 130);
                return ExitCode::from(130);
            }
            Failure::Lab { file, text, problems } => {
                self.mistakes(file, text, problems);
                return ExitCode::from(2);
            }
            Failure::Usage(error) => (error, 2),
            Failure::Work(error) => (error, 1),
        };
        let mut causes = Vec::new();
        let mut cause = error.source();
        let mut last = error.to_string();
        while let Some(e) = cause {
            let text = e.to_string();
            // Many messages hold their cause already: say it once.
            if !last.contains(&text) {
                causes.push(text.clone());
            }
            last = text;
            cause = e.source();
        }
        self.error(&error.to_string(), &causes, code);
        ExitCode::from(code)
    }

    fn mistakes(&self, file: &Path, text: &str, list: &[Problem]) {
        let summary = format!("{} in {}", problems::count(list), file.display());
        let lines = if self.json {
            let list = problems::objects(text, list);
            serde_json::json!({"event": "error", "text": summary, "file": file, "problems": list, "code": 2})
                .to_string()
        } else {
            format!("{}error: {summary}", problems::draw(file, text, list, Severity::Error))
        };
        // A closed standard error must not end in a panic: the exit code tells as well.
        let _ = std::io::stderr().lock().write_all(format!("{lines}\n").as_bytes());
    }

    fn error(&self, text: &str, causes: &[String], code: u8) {
        let mut lines = if self.json {
            serde_json::json!({"event": "error", "text": text, "causes": causes, "code": code}).to_string()
        } else {
            causes.iter().fold(format!("error: {text}"), |lines, cause| format!("{lines}\n  because: {cause}"))
        };
        lines.push('\n');
        // A closed standard error must not end in a panic: the exit code tells as well.
        let _ = std::io::stderr().lock().write_all(lines.as_bytes());
    }
}
