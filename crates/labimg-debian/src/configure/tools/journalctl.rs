//! `journalctl --update-catalog`: `/var/lib/systemd/catalog/database` from the message catalogs (the format is in systemd,
//! `src/libsystemd/sd-journal/catalog.c`).

use std::collections::BTreeMap;

use super::super::{ConfigureError, Context};
use super::config_files;
use super::strbuf::Strings;

const DATABASE: &str = "/var/lib/systemd/catalog/database";
const FOLDERS: [&str; 4] =
    ["/etc/systemd/catalog", "/run/systemd/catalog", "/usr/local/lib/systemd/catalog", "/usr/lib/systemd/catalog"];
const SIGNATURE: &[u8] = b"RHHHKSLP";
const HEADER: u64 = 40;
const ITEM: u64 = 56;
/// Bytes of an item's language field, including the zero at the end.
const LANGUAGE: usize = 32;

/// Message id and language, as stored and sorted in the file.
type Key = ([u8; 16], [u8; LANGUAGE]);

#[derive(Default)]
struct Catalog {
    texts: BTreeMap<Key, String>,
    /// In the order of first appearance, which is the order of the texts in the file.
    order: Vec<Key>,
}

/// Compiles the database.
///
/// # Errors
/// When a catalog cannot be read or has text that belongs to no message.
pub(crate) fn update_catalog(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let mut catalog = Catalog::default();
    for path in config_files(tree, &FOLDERS, ".catalog")? {
        catalog.import(&path, &tree.read_text(&path)?)?;
    }
    tree.write(DATABASE, 0o644, catalog.encode())?;
    Ok(())
}

impl Catalog {
    fn import(&mut self, path: &str, text: &str) -> Result<(), ConfigureError> {
        let of_file = file_language(path);
        let mut current: Option<(Key, String)> = None;
        // An empty line between lines of an entry's text is kept.
        let mut after_empty = true;
        for line in text.lines() {
            if line.is_empty() {
                after_empty = true;
                continue;
            }
            if line.starts_with(['#', ';']) {
                continue;
            }
            if after_empty && let Some((id, language)) = heading(line) {
                self.finish(path, current.take())?;
                let language = if language.is_empty() { of_file } else { language };
                current = Some(((id, language_bytes(path, language)?), String::new()));
                after_empty = false;
                continue;
            }
            let Some((_, text)) = &mut current else {
                return Err(ConfigureError::format(path, "has text before the first message id"));
            };
            if after_empty {
                text.push('\n');
            }
            text.push_str(line);
            text.push('\n');
            after_empty = false;
        }
        self.finish(path, current)
    }

    fn finish(&mut self, path: &str, entry: Option<(Key, String)>) -> Result<(), ConfigureError> {
        let Some((key, text)) = entry else { return Ok(()) };
        if text.is_empty() {
            return Err(ConfigureError::format(path, "has a message id without text"));
        }
        match self.texts.get(&key) {
            None => self.order.push(key),
            Some(old) => {
                let text = combine(&text, old);
                self.texts.insert(key, text);
                return Ok(());
            }
        }
        self.texts.insert(key, text);
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let mut strings = Strings::new();
        let offsets: BTreeMap<Key, u64> =
            self.order.iter().map(|key| (*key, strings.add(self.texts[key].as_bytes()) as u64)).collect();
        let mut out = SIGNATURE.to_vec();
        for number in [0, HEADER, offsets.len() as u64, ITEM] {
            out.extend(number.to_le_bytes());
        }
        for ((id, language), offset) in offsets {
            out.extend(id);
            out.extend(language);
            out.extend(offset.to_le_bytes());
        }
        out.extend_from_slice(strings.bytes());
        out
    }
}

/// `-- ID` or `-- ID LANGUAGE`.
fn heading(line: &str) -> Option<([u8; 16], &str)> {
    let (digits, rest) = line.strip_prefix("-- ")?.split_at_checked(32)?;
    if !(rest.is_empty() || rest.starts_with(' ')) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Some((u128::from_str_radix(digits, 16).ok()?.to_be_bytes(), rest.trim()))
}

/// `pl` of `systemd.pl.catalog`; empty for `systemd.catalog`.
fn file_language(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".catalog").and_then(|stem| stem.rsplit_once('.')).map_or("", |(_, language)| language)
}

fn language_bytes(path: &str, language: &str) -> Result<[u8; LANGUAGE], ConfigureError> {
    let mut bytes = [0; LANGUAGE];
    if language.len() == 1 || language.len() >= LANGUAGE {
        return Err(ConfigureError::format(path, format!("`{language}` is not a language")));
    }
    bytes[..language.len()].copy_from_slice(language.as_bytes());
    Ok(bytes)
}

/// The header fields of both, those of `new` first, and the body of `new`, or of `old` if `new` has none.
fn combine(new: &str, old: &str) -> String {
    let (new_head, new_body) = new.split_once("\n\n").unwrap_or((new.trim_end(), ""));
    let (old_head, old_body) = old.split_once("\n\n").unwrap_or((old.trim_end(), ""));
    let mut head: Vec<&str> = new_head.lines().collect();
    head.extend(old_head.lines().filter(|line| !new_head.lines().any(|other| other == *line)));
    format!("{}\n\n{}", head.join("\n"), if new_body.is_empty() { old_body } else { new_body })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0027229ca0644181a76c4e92458afa2e";

    #[test]
    fn entries_and_languages() {
        let mut catalog = Catalog::default();
        let text = format!("# c\n\n-- {ID}\nSubject: S\n\nBody\n\n\nmore\n\n-- {ID} de\nSubject: B\n");
        catalog.import("/x/a.catalog", &text).unwrap();
        catalog.import("/x/a.pl.catalog", &format!("-- {ID}\nSubject: P\n")).unwrap();
        catalog.import("/x/b.catalog", &format!("-- {ID}\nDefined-By: b\n")).unwrap();
        let texts: Vec<&str> = catalog.order.iter().map(|k| catalog.texts[k].as_str()).collect();
        assert_eq!(texts, ["Defined-By: b\nSubject: S\n\nBody\n\nmore\n", "Subject: B\n", "Subject: P\n"]);
        let out = catalog.encode();
        assert_eq!(out.len() as u64 - HEADER - 3 * ITEM, 1 + 38 + 12 + 12);
    }

    #[test]
    fn damage_is_an_error() {
        let mut catalog = Catalog::default();
        assert!(catalog.import("a", "text\n").is_err());
        assert!(catalog.import("a", &format!("-- {ID}\n\n-- {ID} de\nx\n")).is_err());
        assert!(catalog.import("a", &format!("-- {ID} x\ntext\n")).is_err());
    }

    proptest! {
        #[test]
        fn damage_never_panics(text in "((-- )?[0-9a-f]{31,33}( [a-z]{0,40})?|[#a:é]{0,4}|\n){0,12}") {
            let mut catalog = Catalog::default();
            let _ = catalog.import("/x/y.catalog", &text);
            prop_assert!(catalog.encode().len() as u64 > HEADER);
        }
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&["usr/lib/systemd/catalog"]);
        update_catalog(&mut Context::new(&mut tree, "arm64")).unwrap();
        let file = ["var/lib/systemd/catalog/database"];
        same_files(&tree, &reference.tree(&file), &file);
    }
}
