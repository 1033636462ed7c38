//! Which names FAT can hold, and the short name for each long one.

use std::collections::{HashMap, HashSet};

use crate::format::fat::directory::{LDIR_UNITS, NAME_LEN};
use crate::write::ImageError;
use labimg_tree::{Kind, Tree, TreePath};

/// Checks every path of a tree before anything is written.
///
/// # Errors
/// The first path that FAT cannot hold, or that differs from another only in case.
pub(super) fn check(tree: &Tree) -> Result<(), ImageError> {
    let mut seen: HashMap<String, &TreePath> = HashMap::new();
    for (path, _, inode) in tree.iter() {
        let bad = |why: String, help| Err(ImageError::Fat { path: path.clone(), why, help });
        match &inode.kind {
            Kind::File(content) if content.len() > u64::from(u32::MAX) => {
                return bad("FAT holds files of less than 4 GiB only".to_owned(), None);
            }
            Kind::Dir | Kind::File(_) => {}
            _ => {
                let help = "put a copy in place of the link or device";
                return bad("FAT holds files and folders only".to_owned(), Some(help));
            }
        }
        let Ok(text) = std::str::from_utf8(path.as_bytes()) else {
            return bad("its name is not UTF-8".to_owned(), Some("rename it"));
        };
        let name = text.rsplit('/').next().unwrap_or_default();
        if let Some(c) = name.chars().find(|c| c.is_ascii_control() || "\"*:<>?\\|".contains(*c)) {
            return bad(format!("FAT does not allow `{}` in names", c.escape_default()), Some("rename it"));
        }
        if name.ends_with(['.', ' ']) {
            return bad("FAT names cannot end with a dot or a space".to_owned(), Some("rename it"));
        }
        if let Some(other) = seen.insert(text.to_uppercase(), path) {
            let why = format!("only upper and lower case set it apart from {other}, which FAT ignores");
            return bad(why, Some("rename one of the two"));
        }
    }
    Ok(())
}

/// A label as stored: 11 bytes, padded with spaces.
///
/// # Errors
/// When it is too long or has characters that are not allowed in labels.
pub(super) fn label(text: &str) -> Result<[u8; NAME_LEN], ImageError> {
    let upper = text.to_ascii_uppercase();
    let fits = (1..=NAME_LEN).contains(&upper.len()) && upper.bytes().all(|b| b == b' ' || is_short(b));
    if !fits || upper.starts_with(' ') {
        return Err(ImageError::Layout(format!(
            "`{text}` cannot be the label of a FAT volume: 1 to 11 ASCII letters, digits, `-` and `_` can"
        )));
    }
    let mut label = [b' '; NAME_LEN];
    label[..upper.len()].copy_from_slice(upper.as_bytes());
    Ok(label)
}

/// The stored names of one file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// The 8.3 name: eight bytes and three, padded with spaces.
    pub(super) short: [u8; NAME_LEN],
    /// The long name in UTF-16; `None` when the short name is enough.
    pub(super) long: Option<Vec<u16>>,
}

impl Name {
    /// Number of directory entries it takes.
    pub(super) fn entries(&self) -> usize {
        1 + self.long.as_ref().map_or(0, |long| long.len().div_ceil(LDIR_UNITS))
    }
}

/// Gives each name of one folder its short name, in the same order. They must differ by more than case.
pub(super) fn shorten(names: &[&str]) -> Vec<Name> {
    let bases: Vec<Base> = names.iter().map(|name| Base::of(name)).collect();
    // Names that are valid short names are reserved first: no other file may get them.
    let mut taken: HashSet<[u8; NAME_LEN]> = bases.iter().filter(|b| b.fits).map(|b| b.short).collect();
    let mut tails: HashMap<[u8; NAME_LEN], u32> = HashMap::new();
    let all = names.iter().zip(bases).map(|(name, base)| {
        let short = if base.fits { base.short } else { base.with_tail(&mut taken, &mut tails) };
        Name { short, long: (!base.exact).then(|| name.encode_utf16().collect()) }
    });
    all.collect()
}

/// The start of a short name for a long one: the "basis-name generation algorithm" of the specification.
struct Base {
    short: [u8; NAME_LEN],
    /// Only case was lost, or nothing.
    fits: bool,
    /// Nothing was lost.
    exact: bool,
}

impl Base {
    fn of(name: &str) -> Self {
        let stripped = name.trim_start_matches('.');
        let (stem, extension) = stripped.rsplit_once('.').unwrap_or((stripped, ""));
        let mut short = [b' '; NAME_LEN];
        let mut fits = stripped == name;
        for (text, range) in [(stem, 0..8), (extension, 8..NAME_LEN)] {
            let mut place = short[range].iter_mut();
            for c in text.chars() {
                let byte = u8::try_from(c.to_ascii_uppercase()).ok().filter(|&b| is_short(b));
                fits &= byte.is_some();
                if matches!(c, ' ' | '.') {
                    continue;
                }
                match place.next() {
                    Some(place) => *place = byte.unwrap_or(b'_'),
                    None => fits = false,
                }
            }
        }
        fits &= short[0] != b' ';
        Self { short, fits, exact: fits && !name.bytes().any(|b| b.is_ascii_lowercase()) }
    }

    /// The first of `STEM~1.EXT`, `STEM~2.EXT` … that is free.
    fn with_tail(
        &self,
        taken: &mut HashSet<[u8; NAME_LEN]>,
        tails: &mut HashMap<[u8; NAME_LEN], u32>,
    ) -> [u8; NAME_LEN] {
        let next = tails.entry(self.short).or_insert(1);
        loop {
            let tail = format!("~{next}");
            *next += 1;
            let stem = self.short[..8].iter().position(|&b| b == b' ').unwrap_or(8).min(8 - tail.len());
            let mut short = self.short;
            short[..8].fill(b' ');
            short[..stem].copy_from_slice(&self.short[..stem]);
            short[stem..stem + tail.len()].copy_from_slice(tail.as_bytes());
            if taken.insert(short) {
                return short;
            }
        }
    }
}

/// Characters allowed in a short name; letters are already upper-case.
fn is_short(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shorts(names: &[&str]) -> Vec<String> {
        let text = |n: Name| String::from_utf8(n.short.to_vec()).unwrap() + if n.long.is_some() { "+" } else { "" };
        shorten(names).into_iter().map(text).collect()
    }

    #[test]
    fn short_names() {
        let names =
            ["KERNEL.IMG", "config.txt", "bcm2711-rpi-4-b.dtb", "bcm2711-rpi-400.dtb", "BCM271~1.DTB", ".hidden"];
        let expected = ["KERNEL  IMG", "CONFIG  TXT+", "BCM271~2DTB+", "BCM271~3DTB+", "BCM271~1DTB", "HIDDEN~1   +"];
        assert_eq!(shorts(&names), expected);
        assert_eq!(
            shorts(&["a b.c", "grüße", "x.y.z", "+"]),
            ["AB~1    C  +", "GR__E~1    +", "XY~1    Z  +", "_~1        +"]
        );
    }

    proptest! {
        #[test]
        fn short_names_differ(names in prop::collection::btree_set("[a-c.~1]{1,12}[a-c1]", 1..60)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let all: HashSet<[u8; NAME_LEN]> = shorten(&names).into_iter().map(|n| n.short).collect();
            prop_assert_eq!(all.len(), names.len());
        }
    }
}
