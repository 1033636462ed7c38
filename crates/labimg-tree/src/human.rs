//! Sizes in human-readable form, and paths in commands that people are advised to type.

use std::fmt;
use std::path::Path;

/// A number of bytes in powers of 1024: `896 B`, `38.94 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanBytes(pub u64);

impl fmt::Display for HumanBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PREFIXES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut prefix = 0;
        while size >= 1024.0 && prefix + 1 < PREFIXES.len() {
            size /= 1024.0;
            prefix += 1;
        }
        f.pad(&format!("{size:.2} {}B", PREFIXES[prefix]))
    }
}

/// What several sizes that others name come to, at most [`u64::MAX`]: an index, a lock or a record may name any.
pub fn total(sizes: impl IntoIterator<Item = u64>) -> u64 {
    sizes.into_iter().fold(0, u64::saturating_add)
}

/// A path as one word of a command for a shell.
#[must_use]
pub fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-~+".contains(c);
    if path.chars().all(plain) && !path.is_empty() && !path.starts_with('-') {
        path
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_single_words() {
        for (path, word) in [("./a", "./a"), ("My Lab", "'My Lab'"), ("it's", r"'it'\''s'"), ("", "''"), ("-x", "'-x'")]
        {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }

    #[test]
    fn sizes_have_two_digits_and_a_binary_prefix() {
        let texts: Vec<String> = [0, 1023, 1024, 1536, 1 << 20, (1 << 30) - 1, u64::MAX]
            .iter()
            .map(|&n| HumanBytes(n).to_string())
            .collect();
        assert_eq!(texts, ["0 B", "1023 B", "1.00 KiB", "1.50 KiB", "1.00 MiB", "1024.00 MiB", "16.00 EiB"]);
        assert_eq!(format!("{:>8}", HumanBytes(1)), "     1 B");
        assert_eq!((total([1, 2]), total([u64::MAX, 2])), (3, u64::MAX));
    }
}
