//! Checksum files as `sha256sum` writes them (GNU coreutils manual, "md5sum invocation"): one line a file, the hash in
//! hexadecimal, a space, a space or `*`, the name.

use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// Why a file's hash is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// No line names it.
    #[error("it has no line for {0}")]
    Missing(String),
    /// Two lines name it, with different hashes.
    #[error("it has two different checksums for {0}")]
    Two(String),
    /// What stands before the name is no SHA-256.
    #[error("line {line}: `{word}` is not a SHA-256: 64 hexadecimal digits are expected")]
    BadHash {
        /// Number of the line, from 1.
        line: usize,
        /// What stands there, shortened.
        word: String,
    },
}

impl Fault for SumsError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing(_) | Self::Two(_) | Self::BadHash { .. } => FaultKind::World,
        }
    }
}

/// The SHA-256 that the checksum file `text` gives for `file`. Other lines are not looked at.
///
/// # Errors
/// See [`SumsError`].
pub fn find(text: &str, file: &str) -> Result<Sha256, SumsError> {
    let mut found: Option<Sha256> = None;
    for (number, line) in text.lines().enumerate() {
        let Some((word, name)) = line.trim_end().split_once(' ') else { continue };
        // The second character between them tells text from binary mode; older files have only one space.
        let name = name.strip_prefix([' ', '*']).unwrap_or(name);
        if name != file {
            continue;
        }
        let bad = || SumsError::BadHash { line: number + 1, word: word.chars().take(80).collect() };
        let hash: Sha256 = word.parse().map_err(|_| bad())?;
        if found.is_some_and(|other| other != hash) {
            return Err(SumsError::Two(file.to_owned()));
        }
        found = Some(hash);
    }
    found.ok_or_else(|| SumsError::Missing(file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_line_of_a_file_among_others() {
        let (a, b) = (Sha256::of("a"), Sha256::of("b"));
        let text = format!("{b}  k3s-airgap-images-arm64.tar.zst\r\n{a}  k3s-arm64\n{b} *k3s\n");
        assert_eq!(find(&text, "k3s-arm64"), Ok(a));
        assert_eq!(find(&text, "k3s"), Ok(b));
        assert_eq!(find(&text, "k3s-airgap-images-arm64.tar.zst"), Ok(b));
        assert_eq!(find(&text, "k3s-arm"), Err(SumsError::Missing("k3s-arm".to_owned())));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let (a, b) = (Sha256::of("a"), Sha256::of("b"));
        assert_eq!(find(&format!("{a}  x\n{a}  x\n"), "x"), Ok(a));
        assert_eq!(find(&format!("{a}  x\n{b}  x\n"), "x"), Err(SumsError::Two("x".to_owned())));
        let error = find("\n0123  x\n", "x").unwrap_err();
        assert_eq!(error, SumsError::BadHash { line: 2, word: "0123".to_owned() });
        assert!(find("<html>  k3s-arm64</html>", "k3s-arm64").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([0-9a-f]{0,70}|[ *]{1,3}|k3s-arm64|\n|\r|.)*") {
            let _ = find(&text, "k3s-arm64");
        }

        #[test]
        fn the_hash_is_found_wherever_its_line_stands(
            before in "([0-9a-f]{64}  [a-j]{1,8}\n){0,4}", after in "([0-9a-f]{64} \\*[a-j]{1,8}\n){0,4}",
            seed: u64, mark in "[ *]",
        ) {
            let hash = Sha256::of(seed.to_le_bytes());
            prop_assert_eq!(find(&format!("{before}{hash} {mark}k3s-arm64\n{after}"), "k3s-arm64"), Ok(hash));
        }
    }
}
