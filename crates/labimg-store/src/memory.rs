//! Facts that were learnt from the network once and that later builds rely on.
//!
//! ```text
//! releases/<name>    <fact> <address that it was learnt from> <SHA-256 of the line before this word>
//! ```
//!
//! labimg 0.1.0 wrote no hash. Such a line is taken when it makes sense, and is written again with one.

use std::io;
use std::path::PathBuf;

use labimg_tree::files;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Progress;

use super::{Store, StoreError, is_denied};

/// What a line says.
enum Line<'a> {
    Sound(&'a str),
    WithoutHash(&'a str),
    Damaged,
}

impl Store {
    /// A remembered fact, read by `parse`; `None` when nothing is remembered. What is damaged is forgotten, with a
    /// warning.
    ///
    /// # Errors
    /// When the file exists but cannot be read or removed.
    pub fn recall<T>(
        &self,
        name: &str,
        address: &str,
        reporter: &dyn Progress,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let path = self.memory(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        let line = std::str::from_utf8(&bytes).map_or(Line::Damaged, |text| understand(text, address));
        if let Line::Sound(fact) | Line::WithoutHash(fact) = line
            && let Some(value) = parse(fact)
        {
            if matches!(line, Line::WithoutHash(_)) && self.writable {
                self.remember(name, fact, address, reporter)?;
            }
            return Ok(Some(value));
        }
        reporter.warn(&format!("what was remembered of {address} is damaged, and forgotten: {}", path.display()));
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound && !is_denied(&e) => Err(StoreError::io("remove", &path, e)),
            _ => Ok(None),
        }
    }

    /// Remembers a fact. In a read-only cache this is only a warning.
    ///
    /// # Errors
    /// A write error.
    pub fn remember(&self, name: &str, fact: &str, address: &str, reporter: &dyn Progress) -> Result<(), StoreError> {
        let path = self.memory(name);
        let text = format!("{fact} {address}");
        match files::write_whole(&path, format!("{text} {}\n", Sha256::of(&text)).as_bytes(), 0o600, false) {
            Err(e) if is_denied(&e) => {
                reporter.warn(&format!("cannot remember what {address} says in {}: {e}", path.display()));
                Ok(())
            }
            written => written.map_err(|e| StoreError::write(&path, 0, e)),
        }
    }

    /// The file of a fact, for messages.
    #[must_use]
    pub fn memory(&self, name: &str) -> PathBuf {
        self.dir.join("releases").join(name)
    }
}

fn understand<'a>(text: &'a str, address: &str) -> Line<'a> {
    let fact = |text: &'a str| text.strip_suffix(address)?.strip_suffix(' ');
    let Some(line) = text.strip_suffix('\n') else { return Line::Damaged };
    if let Some(fact) = fact(line) {
        return Line::WithoutHash(fact);
    }
    match line.rsplit_once(' ') {
        Some((said, hash)) if hash.parse().is_ok_and(|hash: Sha256| hash == Sha256::of(said)) => {
            fact(said).map_or(Line::Damaged, Line::Sound)
        }
        _ => Line::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tests::Warnings;

    const URL: &str = "http://m.example/a";

    fn number(store: &Store, reporter: &Warnings) -> Option<u32> {
        store.recall("one", URL, reporter, |fact| fact.parse().ok()).unwrap()
    }

    #[test]
    fn no_flipped_bit_is_believed() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let reporter = Warnings::default();
        assert_eq!(number(&store, &reporter), None);
        store.remember("one", "123", URL, &reporter).unwrap();
        assert_eq!(number(&store, &reporter), Some(123));
        let path = store.memory("one");
        let sound = fs::read(&path).unwrap();
        for place in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[place / 8] ^= 1 << (place % 8);
            fs::write(&path, &bytes).unwrap();
            // A hexadecimal digit may change its case.
            let same = place / 8 >= sound.len() - 65 && bytes.to_ascii_lowercase() == sound;
            assert_eq!(number(&store, &reporter), same.then_some(123), "bit {place}");
            assert_eq!(path.exists(), same, "bit {place}");
        }
        assert!(reporter.0.lock().unwrap().iter().all(|text| text.contains("damaged") && text.contains(URL)));
    }

    #[test]
    fn lines_without_a_hash_get_one() {
        let cache = tempfile::tempdir().unwrap();
        let store = Store::open(cache.path()).unwrap();
        let reporter = Warnings::default();
        fs::create_dir(cache.path().join("releases")).unwrap();
        fs::write(store.memory("one"), format!("7 {URL}\n")).unwrap();
        assert_eq!(number(&store, &reporter), Some(7));
        assert!(fs::read_to_string(store.memory("one")).unwrap().len() > 64);
        assert_eq!(number(&store, &reporter), Some(7));
        assert!(reporter.0.lock().unwrap().is_empty());

        for rubbish in ["", "\n", "7\n", "7 ", "7 http://m.example/b\n", "seven http://m.example/a\n"] {
            fs::write(store.memory("one"), rubbish).unwrap();
            assert_eq!(number(&store, &reporter), None, "{rubbish:?}");
            assert!(!store.memory("one").exists());
        }
    }
}
