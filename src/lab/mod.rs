//! `lab.toml`: the user's description of a cluster and its nodes (file → [`LabFolder`]).
//!
//! [`check`] reports all mistakes in a file at once, each with its position, and warns about what is allowed but
//! probably not meant. The text goes through three steps: TOML with positions, `structure` (names and types, from the
//! model's own schema), `rules` (the allowed values). Only then does it become the model.

mod cidr;
mod error;
mod k3s_flags;
mod k3s_release;
mod mask;
mod model;
mod rules;
pub mod schema;
mod ssh_keys;
mod structure;
pub mod template;
mod words;

use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::parts::Parts;
use crate::wording;
use labimg_tree::files::folder_of;

pub use cidr::{Cidr, CidrError};
pub use error::{LabError, Label, Place, Problem};
pub use k3s_release::{DEFAULT_K3S, K3sRelease};
pub use mask::mask;
pub use model::*;
pub use rules::{K3sFile, PODS, is_package, k3s_settings};
pub use ssh_keys::users_key;

/// The file's name.
pub const FILE: &str = "lab.toml";

/// Largest file that is read, in bytes: more than anyone writes by hand. A wrong path, such as a card image, is not
/// read whole.
const LARGEST: u64 = 256 << 10;

/// A file without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The lab and its folder.
    pub folder: LabFolder,
    /// The file that was read.
    pub file: PathBuf,
    /// Its text, to which the spans of the warnings refer.
    pub text: String,
    /// What is allowed but probably not meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// The `lab.toml` in this folder; parent folders are not searched.
#[must_use]
pub fn find(start: &Path) -> Option<PathBuf> {
    let file = start.join(FILE);
    file.is_file().then_some(file)
}

/// Reads a `lab.toml`, given as a file or by its folder.
///
/// # Errors
/// As [`check`], which also returns the warnings.
pub fn load(path: &Path) -> Result<LabFolder, LabError> {
    check(path).map(|checked| checked.folder)
}

/// Reads a `lab.toml` (given as a file or by its folder), its key files, and the boards, roles and overlays beside it.
///
/// # Errors
/// A missing file, one that is not text, a bad file beside it, or mistakes: all of them at once.
pub fn check(path: &Path) -> Result<Checked, LabError> {
    let file = match path {
        // Messages are easier to read without `./`.
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

/// Checks the text of a `lab.toml`: the lab with its warnings, or all mistakes, each in the order of the file. Key
/// files are looked up below `folder`, or not at all without one; boards and roles come from `parts`.
///
/// # Errors
/// All mistakes. When the text is not TOML, only the syntax errors.
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
                    node.kind = parts.role(&node.role).ok().and_then(|role| role.k3s);
                }
                for (name, values) in found.values {
                    lab.stack.components.entry(name).or_default().from_file = values;
                }
                return Ok((lab, in_order(found.warnings)));
            }
            // The structure comes from the model, so only a bug in labimg leads here; the user sees it.
            Err(e) => found.problems.push(syntax(text, &e)),
        }
    }
    Err(in_order(found.problems))
}

/// An error of the TOML parser as a problem.
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
mod k3s_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod stack_tests;
#[cfg(test)]
mod tests;
