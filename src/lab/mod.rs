//! `lab.toml`: what a user says about a cluster and its nodes (file → [`LabFolder`]).
//!
//! [`check`] reports every mistake of a file in one go, each with its place, and remarks on what is allowed but hardly
//! meant. The text goes through three steps: TOML with places, [`structure`] (names and types, as the model's own
//! schema says them), [`rules`] (what the values must be). Only then it becomes the model.

mod cidr;
mod error;
mod mask;
mod model;
mod rules;
pub mod schema;
mod ssh_keys;
mod structure;
pub mod template;

use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::parts::Parts;
use crate::wording;
use labimg_tree::files::folder_of;

pub use cidr::{Cidr, CidrError};
pub use error::{LabError, Label, Place, Problem};
pub use mask::mask;
pub use model::*;
pub use rules::{label, name_fault};
pub use ssh_keys::users_key;

/// The file's name.
pub const FILE: &str = "lab.toml";

/// More than anyone writes by hand; keeps a wrong path (a card's image) from being read whole.
const LARGEST: u64 = 256 << 10;

/// A file without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The lab and its folder.
    pub folder: LabFolder,
    /// The file that was read.
    pub file: PathBuf,
    /// Its text: what the spans of the warnings count in.
    pub text: String,
    /// What is allowed but hardly meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// `lab.toml` in this very folder; folders above are not searched.
#[must_use]
pub fn find(start: &Path) -> Option<PathBuf> {
    let file = start.join(FILE);
    file.is_file().then_some(file)
}

/// Reads a `lab.toml`, or that of a folder.
///
/// # Errors
/// As [`check`], which gives the warnings too.
pub fn load(path: &Path) -> Result<LabFolder, LabError> {
    check(path).map(|checked| checked.folder)
}

/// Reads a `lab.toml`, or that of a folder, the key files that it names, and the boards, roles and overlays beside it.
///
/// # Errors
/// No such file, no text, a bad file beside it, or mistakes: all of them at once.
pub fn check(path: &Path) -> Result<Checked, LabError> {
    let file = match path {
        // Messages read better without `./`.
        _ if path == Path::new(".") => PathBuf::from(FILE),
        _ if path.is_dir() => path.join(FILE),
        _ => path.to_owned(),
    };
    let text = read(&file)?;
    let dir = folder_of(&file).to_owned();
    let parts = Parts::of(&dir)?;
    match parse(&text, Some(&dir), &parts) {
        Ok((lab, warnings)) => Ok(Checked { folder: LabFolder { dir, lab, parts }, file, text, warnings }),
        Err(problems) => Err(LabError::Invalid { file, text, problems }),
    }
}

/// Checks the text of a `lab.toml`: the lab with its warnings, or all mistakes, each in the order of the file.
/// Key files are looked for below `folder`, and not at all without one; boards and roles are those of `parts`.
///
/// # Errors
/// All mistakes. When the text is not TOML, those of the syntax only.
pub fn parse(text: &str, folder: Option<&Path>, parts: &Parts) -> Result<(Lab, Vec<Problem>), Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(in_order(errors.iter().map(|e| syntax(text, e)).collect()));
    }
    let mut found = rules::Found::default();
    structure::check(root.get_ref(), &mut found.problems);
    rules::check(root.get_ref(), folder, parts, &mut found);
    if found.problems.is_empty() {
        match toml::from_str::<Lab>(text) {
            Ok(mut lab) => {
                for node in &mut lab.nodes {
                    node.k3s = parts.role(&node.role).ok().and_then(|role| role.k3s);
                }
                return Ok((lab, in_order(found.warnings)));
            }
            // The structure is made from the model, so this is not reached but by a mistake of ours; the user sees it.
            Err(e) => found.problems.push(syntax(text, &e)),
        }
    }
    Err(in_order(found.problems))
}

/// What the TOML parser says, in our form.
fn syntax(text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(text.len()..text.len());
    let (message, help) = wording::toml_words(error.message(), text, span.start);
    Problem { help, ..Problem::new(span, message) }
}

fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|p| (p.span.start, p.span.end));
    problems.dedup();
    problems
}

fn read(file: &Path) -> Result<String, LabError> {
    let opened = fs_err::File::open(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound if file.ends_with(FILE) => {
            LabError::Missing { folder: folder_of(file).to_owned() }
        }
        std::io::ErrorKind::NotFound => LabError::NoSuch { path: file.to_owned() },
        _ => LabError::Read(e),
    })?;
    if !opened.metadata()?.is_file() {
        return Err(LabError::NoFile { file: file.to_owned() });
    }
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(LabError::TooLarge { file: file.to_owned() });
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()]);
        LabError::NoText { file: file.to_owned(), line: Place::of(&good, good.len()).line }
    })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
