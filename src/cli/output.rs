//! The one place that prints results and errors; [`labimg_tree::progress`] shows progress. Nothing that is printed can
//! steer the terminal ([`super::clean`]).

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use miette::Severity;
use serde::Serialize;
use serde_json::json;

use super::clean::{clean, clean_json};
use super::problems::{self, SHOWN};
use crate::lab::{Checked, LabError, Problem};
use crate::stack::check::Finding;
use labimg_tree::fault::{Fault, FaultKind, causes};
use labimg_tree::interrupt;

/// Where to report bugs in labimg.
const REPORT: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/issues");

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// What went wrong: its kind gives the exit code.
    Fault(Box<dyn Fault>),
    /// Standard output was closed, as with `| head`: silent, exit code 0.
    ClosedPipe,
}

impl<F: Fault + 'static> From<F> for Failure {
    fn from(fault: F) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// Why a result was not printed, or a question not answered.
#[derive(Debug, thiserror::Error)]
enum OutputError {
    /// It cannot be written as JSON.
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// Standard output is full.
    #[error("standard output cannot be written")]
    Write(#[source] io::Error),
    /// Standard input is not a terminal.
    #[error("{why}")]
    NobodyToAsk { why: &'static str, otherwise: &'static str },
    /// The terminal is gone.
    #[error("the answer cannot be read")]
    Answer(#[source] io::Error),
}

impl Fault for OutputError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Json(_) => FaultKind::Ours,
            Self::Write(_) | Self::Answer(_) => FaultKind::World,
            Self::NobodyToAsk { .. } => FaultKind::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NobodyToAsk { otherwise, .. } => Some((*otherwise).to_owned()),
            Self::Json(_) | Self::Write(_) | Self::Answer(_) => None,
        }
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

    /// Prints a result in the format that the user chose.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json { Self::json(value) } else { Self::text(&text(value)) }
    }

    /// Prints a result as JSON.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
        let mut json = serde_json::to_string_pretty(value).map_err(OutputError::from)?;
        json.push('\n');
        Self::write(&clean_json(&json))
    }

    /// Prints a text.
    ///
    /// # Errors
    /// When standard output is closed or full.
    pub fn text(text: &str) -> Result<(), Failure> {
        Self::write(&clean(text))
    }

    fn write(text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| match e.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => OutputError::Write(e).into(),
        })
    }

    /// Asks on the terminal; anything except `y` or `yes` means no. Without a terminal it fails.
    ///
    /// # Errors
    /// When standard input is not a terminal. `why` says why that matters, `otherwise` names the option to use instead.
    pub fn confirm(question: &str, why: &'static str, otherwise: &'static str) -> Result<bool, Failure> {
        if !io::stdin().is_terminal() {
            return Err(OutputError::NobodyToAsk { why, otherwise }.into());
        }
        let mut answer = String::new();
        let asked = write!(io::stderr().lock(), "{} [y/N] ", clean(question));
        asked.and_then(|()| io::stdin().read_line(&mut answer)).map_err(OutputError::Answer)?;
        Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
    }

    /// Shows probable mistakes in a `lab.toml`, with their positions. With `--json` they are part of the result.
    pub fn warnings(&self, checked: &Checked) {
        if !self.json {
            let text = problems::draw(&checked.file, &checked.text, &checked.warnings, Severity::Warning);
            let notes: String = checked.folder.parts.notes().iter().map(|note| format!("warning: {note}\n")).collect();
            // A closed standard error is ignored.
            let _ = io::stderr().lock().write_all((text + &notes).as_bytes());
        }
    }

    /// Shows probable mistakes in manifests. With `--json` they are part of the result.
    pub fn findings(&self, found: &[Finding]) {
        if !self.json {
            let more = found.len().checked_sub(SHOWN).filter(|more| *more > 0);
            let lines = found.iter().take(SHOWN).map(ToString::to_string);
            let lines = lines.chain(more.map(|more| format!("and {more} more")));
            let text: String = lines.map(|line| format!("warning: {line}\n")).collect();
            // A closed standard error is ignored.
            let _ = io::stderr().lock().write_all(clean(&text).as_bytes());
        }
    }

    /// Prints an error with its causes and help, and returns the exit code.
    #[must_use]
    pub fn fail(self, failure: &Failure) -> ExitCode {
        let fault = match failure {
            Failure::ClosedPipe => return ExitCode::SUCCESS,
            Failure::Fault(fault) => fault.as_ref(),
        };
        let error: &(dyn Error + 'static) = fault;
        let (lines, kind) = if interrupt::requested() || fault.kind() == FaultKind::Interrupted {
            (self.error("interrupted", FaultKind::Interrupted, &[], None), FaultKind::Interrupted)
        } else if let Some(LabError::Invalid { file, text, problems }) = error.downcast_ref() {
            (self.mistakes(file, text, problems, fault.kind()), fault.kind())
        } else {
            let report = (fault.kind() == FaultKind::Ours).then(|| format!("please report this: {REPORT}"));
            let help: Vec<String> = fault.help().into_iter().chain(report).collect();
            let help = (!help.is_empty()).then(|| help.join("\n"));
            (self.error(&error.to_string(), fault.kind(), &causes(error), help.as_deref()), fault.kind())
        };
        // A closed standard error must not cause a panic; the exit code still tells the error.
        let _ = io::stderr().lock().write_all(format!("{lines}\n").as_bytes());
        ExitCode::from(kind.exit_code())
    }

    /// Prints mistakes in a `lab.toml`, each with its position.
    fn mistakes(&self, file: &Path, text: &str, list: &[Problem], kind: FaultKind) -> String {
        let summary = format!("{} in {}", problems::count(list), file.display());
        if !self.json {
            return format!("{}error: {}", problems::draw(file, text, list, Severity::Error), clean(&summary));
        }
        let list = problems::objects(text, list);
        let event = json!({
            "event": "error", "kind": word(kind), "text": summary, "file": file, "problems": list, "code": kind.exit_code(),
        });
        clean_json(&event.to_string()).into_owned()
    }

    fn error(&self, text: &str, kind: FaultKind, causes: &[String], help: Option<&str>) -> String {
        if self.json {
            let event = json!({
                "event": "error", "kind": word(kind), "text": text, "causes": causes, "help": help, "code": kind.exit_code(),
            });
            return clean_json(&event.to_string()).into_owned();
        }
        let causes = causes.iter().map(|cause| format!("\n  caused by: {cause}"));
        let help = help.into_iter().flat_map(str::lines).map(|line| format!("\n  help: {line}"));
        let lines: String = std::iter::once(format!("error: {text}")).chain(causes).chain(help).collect();
        clean(&lines).into_owned()
    }
}

/// The kind of an error in `--json`.
fn word(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Usage => "usage",
        FaultKind::Configuration => "configuration",
        FaultKind::World => "world",
        FaultKind::Ours => "ours",
        FaultKind::Interrupted => "interrupted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(json: bool) -> String {
        let causes = ["the disk is full".to_owned(), "error 28".to_owned()];
        Output::new(json).error("no image", FaultKind::World, &causes, Some("free some space\nor take another disk"))
    }

    #[test]
    fn an_error_is_its_message_its_causes_and_help() {
        assert_eq!(
            said(false),
            "error: no image\n  caused by: the disk is full\n  caused by: error 28\n  help: free some space\n  \
             help: or take another disk"
        );
        assert_eq!(Output::new(false).error("no image", FaultKind::World, &[], None), "error: no image");
    }

    #[test]
    fn no_error_steers_the_terminal() {
        for json in [false, true] {
            let said = Output::new(json).error("\u{1b}[2J", FaultKind::World, &["\u{9b}1m".to_owned()], Some("\u{7}"));
            assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
        }
    }

    #[test]
    fn programs_get_the_same_fields() {
        let fields: serde_json::Value = serde_json::from_str(&said(true)).unwrap();
        assert_eq!(
            fields,
            json!({
                "event": "error", "kind": "world", "text": "no image", "causes": ["the disk is full", "error 28"],
                "help": "free some space\nor take another disk", "code": 1,
            })
        );
    }
}
