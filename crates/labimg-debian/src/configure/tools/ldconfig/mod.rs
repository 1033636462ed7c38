//! `ldconfig`: `/etc/ld.so.cache` and the soname links (ldconfig(8)). The format is `glibc-ld.so.cache1.1` (glibc,
//! `sysdeps/generic/dl-cache.h`), little-endian.

mod elf;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use super::super::{ConfigureError, Context};
use super::exists;
use labimg_tree::interrupt;
use labimg_tree::{Inode, Kind, Tree, TreeError, TreePath};

const CACHE: &str = "/etc/ld.so.cache";
const CONF: &str = "/etc/ld.so.conf";
const PROGRAM: &str = "/usr/sbin/ldconfig";
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const LITTLE_ENDIAN: u8 = 2;
const HEADER: usize = 48;
const ENTRY: usize = 24;
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
const EXTENSION_GENERATOR: u32 = 0;
const EXTENSION_HWCAPS: u32 = 1;
/// Marks that the rest of an entry's `hwcap` field is an index into the names of `glibc-hwcaps` folders.
const HWCAP_EXTENSION: u64 = 1 << 62;
/// Searched after the configured folders.
const BUILT_IN: [&str; 2] = ["/lib", "/usr/lib"];

/// A library as programs find it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    soname: String,
    path: String,
    flags: u32,
    /// Name of its `glibc-hwcaps` folder, if it is in one.
    hwcaps: Option<String>,
}

/// Searches the library folders, creates missing soname links, and writes the cache.
///
/// For x86-64 libraries below `glibc-hwcaps`, the instruction set level in their ELF note is ignored: the loader goes
/// by the folder's name.
///
/// # Errors
/// When the configuration or a library cannot be read, or the program `ldconfig` is missing.
pub(crate) fn run(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let mut folders = Vec::new();
    if exists(tree, CONF) {
        read_conf(tree, CONF, &mut folders, 0)?;
    }
    folders.extend(BUILT_IN.map(str::to_owned));
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for folder in folders {
        let Ok(real) = tree.resolve(&folder) else { continue };
        if !matches!(tree.get(&real), Some(Inode { kind: Kind::Dir, .. })) || !seen.insert(real.clone()) {
            continue;
        }
        search(tree, &folder, &real, None, &mut entries)?;
        let hwcaps = real.join("glibc-hwcaps")?;
        let names: Vec<TreePath> =
            tree.children(&hwcaps).filter(|(_, _, i)| matches!(i.kind, Kind::Dir)).map(|(p, _, _)| p.clone()).collect();
        for real in names {
            let name = String::from_utf8_lossy(real.name()).into_owned();
            search(tree, &format!("{folder}/glibc-hwcaps/{name}"), &real, Some(&name), &mut entries)?;
        }
    }
    entries.sort_by(order);
    let generator = generator(tree)?;
    tree.write(CACHE, 0o644, encode(&entries, &generator))?;
    Ok(())
}

/// The folders in a configuration file; those of an included file take the place of the include.
fn read_conf(tree: &Tree, path: &str, folders: &mut Vec<String>, depth: u32) -> Result<(), ConfigureError> {
    if depth > 16 {
        return Err(ConfigureError::format(path, "includes itself"));
    }
    for line in tree.read_text(path)?.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(pattern) = line.strip_prefix("include").filter(|r| r.starts_with([' ', '\t'])) {
            for pattern in pattern.split_whitespace() {
                let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/{pattern}") };
                for file in matching(tree, &pattern)? {
                    read_conf(tree, &file, folders, depth + 1)?;
                }
            }
        } else if line.starts_with('/') {
            folders.push(line.trim_end_matches('/').to_owned());
        }
    }
    Ok(())
}

/// Files that match a pattern, which may have one `*` in its last part.
fn matching(tree: &Tree, pattern: &str) -> Result<Vec<String>, ConfigureError> {
    let Some((before, after)) = pattern.split_once('*') else {
        return Ok(if exists(tree, pattern) { vec![pattern.to_owned()] } else { Vec::new() });
    };
    let (folder, start) = before.rsplit_once('/').unwrap_or(("", before));
    if after.contains(['/', '*', '?', '[']) || before.contains(['?', '[']) {
        return Err(ConfigureError::format(CONF, format!("labimg does not know patterns like `{pattern}`")));
    }
    let Ok(real) = tree.resolve(folder) else { return Ok(Vec::new()) };
    let names = tree.children(&real).map(|(p, _, _)| String::from_utf8_lossy(p.name()).into_owned());
    let fits = |n: &String| {
        n.len() >= start.len() + after.len() && n.starts_with(start) && n.ends_with(after) && !n.starts_with('.')
    };
    Ok(names.filter(fits).map(|name| format!("{folder}/{name}")).collect())
}

/// A file or link that provides a soname.
struct Provider {
    name: String,
    is_link: bool,
    flags: u32,
}

fn search(
    tree: &mut Tree,
    folder: &str,
    real: &TreePath,
    hwcaps: Option<&str>,
    entries: &mut Vec<Entry>,
) -> Result<(), ConfigureError> {
    let mut found: BTreeMap<String, Provider> = BTreeMap::new();
    for (path, _, inode) in tree.children(real) {
        interrupt::check()?;
        let Ok(name) = std::str::from_utf8(path.name()) else { continue };
        if !is_library_name(name) {
            continue;
        }
        let mut is_link = matches!(inode.kind, Kind::Symlink(_));
        let Ok(target) = tree.resolve(path) else { continue };
        let Some(Inode { kind: Kind::File(content), .. }) = tree.get(&target) else { continue };
        let library = elf::library(content).map_err(|source| TreeError::Read { path: target.clone(), source })?;
        let Some((flags, library)) = library.and_then(|l| flags(l.machine).map(|flags| (flags, l))) else { continue };
        let mut soname = library.soname.unwrap_or_else(|| name.to_owned());
        if is_link {
            // A link that only the linker uses (libx.so) keeps its own name. Any other link with a name other than the
            // soname counts as a file.
            let for_linker = name.strip_suffix(".so").is_some() && soname.starts_with(name);
            is_link = name == soname || for_linker;
            if is_link {
                name.clone_into(&mut soname);
            }
        }
        let better = found.get(&soname).is_none_or(|other| {
            (!is_link && other.is_link)
                || (is_link == other.is_link && compare_names(&other.name, name) == Ordering::Less)
        });
        if better {
            found.insert(soname, Provider { name: name.to_owned(), is_link, flags });
        }
    }
    for (soname, provider) in found {
        if hwcaps.is_some() {
            // Found by the file name; no links are made there.
            let path = format!("{folder}/{}", provider.name);
            entries.push(Entry { soname, path, flags: provider.flags, hwcaps: hwcaps.map(str::to_owned) });
            continue;
        }
        let link = real.join(&soname)?;
        if !provider.is_link
            && provider.name != soname
            && matches!(tree.get(&link), None | Some(Inode { kind: Kind::Symlink(_), .. }))
            && tree.resolve(&link).ok() != tree.resolve(real.join(&provider.name)?).ok()
        {
            tree.symlink(&link, &provider.name)?;
        }
        let path = format!("{folder}/{soname}");
        entries.push(Entry { soname, path, flags: provider.flags, hwcaps: None });
    }
    Ok(())
}

fn is_library_name(name: &str) -> bool {
    let starts = name.starts_with("lib") || name.starts_with("ld-") || name.starts_with("ld.so.");
    starts && name.contains(".so") && !name.ends_with(".dpkg-new") && !name.ends_with(".dpkg-tmp")
}

/// The cache's mark for libraries of a machine (`FLAG_ELF_LIBC6` with the machine's own bits).
fn flags(machine: u16) -> Option<u32> {
    match machine {
        62 => Some(0x0303),
        183 => Some(0x0a03),
        _ => None,
    }
}

/// Orders names: numbers compare as numbers, and a digit comes after everything else.
fn compare_names(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    loop {
        match (left.split_first(), right.split_first()) {
            (Some((l, _)), Some((r, _))) if l.is_ascii_digit() && r.is_ascii_digit() => {
                let number = |text: &[u8]| {
                    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
                    (text[..end].iter().fold(0i32, |n, b| n.wrapping_mul(10).wrapping_add(i32::from(b - b'0'))), end)
                };
                let ((l, l_end), (r, r_end)) = (number(left), number(right));
                if l != r {
                    return l.cmp(&r);
                }
                (left, right) = (&left[l_end..], &right[r_end..]);
            }
            (Some((l, _)), Some((r, _))) if l.is_ascii_digit() != r.is_ascii_digit() => {
                return l.is_ascii_digit().cmp(&r.is_ascii_digit());
            }
            (Some((l, l_rest)), Some((r, r_rest))) => {
                if l != r {
                    return l.cmp(r);
                }
                (left, right) = (l_rest, r_rest);
            }
            // A digit comes after the end of the other name, too; so does any other byte.
            (l, r) => return l.is_some().cmp(&r.is_some()),
        }
    }
}

/// The loader does a binary search, in descending order of names. Of equal names, those in `glibc-hwcaps` come first.
fn order(left: &Entry, right: &Entry) -> Ordering {
    compare_names(&right.soname, &left.soname)
        .then_with(|| right.flags.cmp(&left.flags))
        .then_with(|| Reverse(left.hwcaps.is_some()).cmp(&Reverse(right.hwcaps.is_some())))
        .then_with(|| left.hwcaps.cmp(&right.hwcaps))
}

/// The name that this version of ldconfig writes into its caches; the text is in the program.
fn generator(tree: &Tree) -> Result<Vec<u8>, ConfigureError> {
    const START: &[u8] = b"ldconfig (";
    let program = tree.read(PROGRAM)?;
    let at = program.windows(START.len()).position(|w| w == START);
    let text = at.and_then(|at| program[at..].split(|&b| b == 0).next()).filter(|text| text.len() < 256);
    text.map(<[u8]>::to_vec).ok_or_else(|| ConfigureError::format(PROGRAM, "does not say its version"))
}

fn encode(entries: &[Entry], generator: &[u8]) -> Vec<u8> {
    let hwcaps: BTreeSet<&str> = entries.iter().filter_map(|e| e.hwcaps.as_deref()).collect();
    let mut texts: BTreeSet<&str> = hwcaps.iter().copied().collect();
    texts.extend(entries.iter().flat_map(|e| [e.soname.as_str(), e.path.as_str()]));
    let start = HEADER + ENTRY * entries.len();
    let (strings, offsets) = string_table(&texts, start);
    let offset = |text: &str| offsets.get(text).copied().unwrap_or_default();
    let extension = (start + strings.len()).next_multiple_of(4);

    let mut out = MAGIC.to_vec();
    out.extend((entries.len() as u32).to_le_bytes());
    out.extend((strings.len() as u32).to_le_bytes());
    out.extend([LITTLE_ENDIAN, 0, 0, 0]);
    out.extend((extension as u32).to_le_bytes());
    out.resize(HEADER, 0);
    for entry in entries {
        out.extend(entry.flags.to_le_bytes());
        out.extend(offset(&entry.soname).to_le_bytes());
        out.extend(offset(&entry.path).to_le_bytes());
        out.extend(0u32.to_le_bytes());
        let index = entry.hwcaps.as_deref().and_then(|name| hwcaps.iter().position(|h| *h == name));
        out.extend(index.map_or(0, |index| HWCAP_EXTENSION | index as u64).to_le_bytes());
    }
    out.extend(strings);
    out.resize(extension, 0);

    let sections = 1 + usize::from(!hwcaps.is_empty());
    let hwcaps_at = extension + 8 + 16 * sections;
    let generator_at = hwcaps_at + 4 * hwcaps.len();
    let mut number = |n: usize| out.extend((n as u32).to_le_bytes());
    number(EXTENSION_MAGIC as usize);
    number(sections);
    [EXTENSION_GENERATOR as usize, 0, generator_at, generator.len()].into_iter().for_each(&mut number);
    if !hwcaps.is_empty() {
        [EXTENSION_HWCAPS as usize, 0, hwcaps_at, 4 * hwcaps.len()].into_iter().for_each(&mut number);
        for name in &hwcaps {
            number(offset(name) as usize);
        }
    }
    out.extend_from_slice(generator);
    out
}

/// The texts in order, each ended by a zero byte. A text that is the end of another one shares its bytes.
fn string_table<'a>(texts: &BTreeSet<&'a str>, start: usize) -> (Vec<u8>, BTreeMap<&'a str, u32>) {
    let mut sorted: Vec<&str> = texts.iter().copied().collect();
    // Sorted by their ends, descending; of two with the same end, the longer one first.
    sorted.sort_by(|a, b| {
        let ends = a.bytes().rev().zip(b.bytes().rev()).find(|(x, y)| x != y);
        ends.map_or_else(|| b.len().cmp(&a.len()), |(x, y)| y.cmp(&x))
    });
    let mut table = Vec::new();
    let mut offsets = BTreeMap::new();
    let mut previous: Option<(&str, usize)> = None;
    for text in sorted {
        let offset = match previous {
            Some((longer, at)) if longer.ends_with(text) => at + longer.len() - text.len(),
            _ => {
                let at = table.len();
                table.extend_from_slice(text.as_bytes());
                table.push(0);
                at
            }
        };
        offsets.insert(text, (start + offset) as u32);
        previous = Some((text, offset));
    }
    (table, offsets)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::elf::tests::small_library;
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(0);
        tree.write("usr/sbin/ldconfig", 0o755, "\u{7f}ELF\0ldconfig (Test) 1\0x").unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        tree.write("etc/ld.so.conf", 0o644, "include /etc/ld.so.conf.d/*.conf # all\n").unwrap();
        tree.write("etc/ld.so.conf.d/a.conf", 0o644, "/lib/a64/\n/usr/lib/a64\n/none\n").unwrap();
        tree.write("etc/ld.so.conf.d/b.other", 0o644, "/usr/share\n").unwrap();
        tree
    }

    #[test]
    fn missing_links_are_made_and_the_newest_file_wins() {
        let mut tree = tree();
        for (file, soname) in [
            ("libx.so.1.9", "libx.so.1"),
            ("libx.so.1.10", "libx.so.1"),
            ("ld-linux-aarch64.so.1", "ld-linux-aarch64.so.1"),
        ] {
            tree.write(format!("usr/lib/a64/{file}"), 0o755, small_library(183, soname)).unwrap();
        }
        tree.write("usr/lib/a64/libc.so", 0o644, "INPUT ( libc.so.6 )").unwrap();
        tree.symlink("usr/lib/ld-linux-aarch64.so.1", "a64/ld-linux-aarch64.so.1").unwrap();
        tree.write("usr/lib/a64/glibc-hwcaps/v9/libx.so.1.11", 0o755, small_library(183, "libx.so.1")).unwrap();
        run(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(tree.resolve("lib/a64/libx.so.1").unwrap().to_string(), "/usr/lib/a64/libx.so.1.10");
        let cache = tree.read("etc/ld.so.cache").unwrap();
        let number = |at: usize| u32::from_le_bytes(cache[at..at + 4].try_into().unwrap()) as usize;
        let text = |at: usize| {
            let end = cache[at..].iter().position(|&b| b == 0).unwrap();
            String::from_utf8(cache[at..at + end].to_vec()).unwrap()
        };
        let found: Vec<(usize, String, u64)> = (0..number(20))
            .map(|i| HEADER + i * ENTRY)
            .map(|at| {
                let hwcap = u64::from_le_bytes(cache[at + 16..at + 24].try_into().unwrap());
                (number(at), text(number(at + 8)), hwcap)
            })
            .collect();
        let plain = |path: &str| (0x0a03, path.to_owned(), 0);
        assert_eq!(
            found,
            [
                (0x0a03, "/lib/a64/glibc-hwcaps/v9/libx.so.1.11".to_owned(), HWCAP_EXTENSION),
                plain("/lib/a64/libx.so.1"),
                plain("/lib/a64/ld-linux-aarch64.so.1"),
                plain("/lib/ld-linux-aarch64.so.1"),
            ]
        );
        assert!(cache.ends_with(b"ldconfig (Test) 1"));
    }

    #[test]
    fn names_with_numbers() {
        assert_eq!(compare_names("libx.so.9", "libx.so.10"), Ordering::Less);
        assert_eq!(compare_names("libx.so", "libx.so.1"), Ordering::Less);
        assert_eq!(compare_names("libx1.so", "libxa.so"), Ordering::Greater);
        assert_eq!(compare_names("a", "a"), Ordering::Equal);
    }

    #[test]
    fn a_configuration_that_includes_itself_ends() {
        let mut tree = tree();
        tree.write("etc/ld.so.conf.d/a.conf", 0o644, "include ld.so.conf\n").unwrap();
        assert!(run(&mut Context::new(&mut tree, "arm64")).is_err());
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree =
            reference.tree(&["lib", "etc/ld.so.conf", "etc/ld.so.conf.d", "usr/sbin/ldconfig", "usr/local/lib"]);
        for entry in ["x86_64-linux-gnu", "aarch64-linux-gnu", "ld-linux-aarch64.so.1"] {
            let folder = format!("usr/lib/{entry}");
            if reference.has(&folder) {
                reference.add(&mut tree, &folder);
            }
        }
        run(&mut Context::new(&mut tree, "arm64")).unwrap();
        same_files(&tree, &reference.tree(&["etc/ld.so.cache"]), &["etc/ld.so.cache"]);
    }
}
