//! What checks find.

use std::fmt;

use super::subject::{Deployed, Owner};
use labimg_tree::fault::{Fault, FaultKind};

/// Something in a manifest that is wrong, or probably so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file: one of those that k3s gets, or its path in the lab folder.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// Kind, namespace and name of the object.
    pub object: String,
    /// The field, such as `spec.containers[0].name`; empty for the object itself.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: Option<String>,
    /// Who wrote it.
    pub owner: Owner,
}

impl Finding {
    /// A finding about the field at a path of an object.
    pub(super) fn of(deployed: &Deployed, path: impl Into<String>, what: impl Into<String>) -> Self {
        let path = path.into();
        Self {
            file: deployed.file.clone(),
            line: deployed.object.line(&path),
            object: deployed.shown(),
            path,
            what: what.into(),
            help: None,
            owner: deployed.owner,
        }
    }

    /// With what to do.
    pub(super) fn help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// Whether the cluster would not get what was meant. Manifests of the user are left as they are: there it is a warning.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.owner != Owner::Manifest
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: ", self.file, self.line, self.object)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}", self.what)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

/// Components of which the cluster would not get what was meant: all mistakes.
#[derive(Debug, thiserror::Error)]
#[error("{}", summary(.0))]
pub struct CheckError(pub Vec<Finding>);

fn summary(findings: &[Finding]) -> String {
    let count = findings.len();
    let lines = findings.iter().map(|finding| format!("\n  {finding}"));
    format!(
        "{count} mistake{} in what the cluster would get{}",
        if count == 1 { "" } else { "s" },
        lines.collect::<String>()
    )
}

impl Fault for CheckError {
    fn kind(&self) -> FaultKind {
        let is_ours = self.0.iter().all(|finding| finding.owner == Owner::Ours);
        if is_ours { FaultKind::Ours } else { FaultKind::Configuration }
    }

    fn help(&self) -> Option<String> {
        Some("`labimg stack render` prints these files, as the master would get them".to_owned())
    }
}

/// The errors among findings as an error; else all of them, which are warnings. Each once, in the order of files.
///
/// # Errors
/// [`CheckError`] with the errors.
pub fn judged(mut findings: Vec<Finding>) -> Result<Vec<Finding>, CheckError> {
    findings.sort();
    findings.dedup();
    let (errors, warnings): (Vec<_>, Vec<_>) = findings.into_iter().partition(Finding::is_error);
    if errors.is_empty() { Ok(warnings) } else { Err(CheckError(errors)) }
}
