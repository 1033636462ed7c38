//! Imports go one way: there are no import cycles between modules of a folder, neither in the program nor in a crate.
//!
//! A module and its children count as one, so a child may use its parent. Tests are left out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module by its path from the crate's root.
type Module = Vec<String>;

/// The modules of a crate and their source without comments and tests.
fn modules(source: &Path) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(source.to_owned(), Vec::new())];
    while let Some((folder, at)) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if stem == "tests" || stem == "testing" || stem.ends_with("_tests") {
                continue;
            }
            let below = [at.as_slice(), std::slice::from_ref(&stem)].concat();
            if path.is_dir() {
                folders.push((path, below));
            } else if path.extension().is_some_and(|e| e == "rs") {
                let is_head = ["mod", "lib", "main"].contains(&stem.as_str());
                let text = plain(&std::fs::read_to_string(&path).unwrap());
                found.entry(if is_head { at.clone() } else { below }).or_insert_with(String::new).push_str(&text);
            }
        }
    }
    found
}

/// The text without comments, and without everything after the first `#[cfg(test)]` before an inline module.
fn plain(text: &str) -> String {
    let mut lines = Vec::new();
    let mut under_test = false;
    for line in text.lines() {
        let code = line.trim_start();
        let is_module = ["mod ", "pub mod ", "pub(super) mod ", "pub(crate) mod "].iter().any(|m| code.starts_with(m));
        if is_module && code.ends_with('{') && under_test {
            break;
        }
        under_test = code.starts_with("#[cfg(test)]") || under_test && code.starts_with("#[");
        lines.push(line.split("//").next().unwrap_or_default());
    }
    lines.join("\n")
}

/// The paths of a `use` tree (`a::{b, c::d}`), each written out.
fn expanded(tree: &str) -> Vec<String> {
    let Some((before, list)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or(tree).trim().to_owned()];
    };
    let list = list.rsplit_once('}').map_or(list, |(inner, _)| inner);
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for c in list.chars().chain([',']) {
        match c {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                part.push(c);
            }
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(expanded).map(|path| format!("{}{path}", before.trim())).collect()
}

/// Every path in a text that begins at the crate's root or at a nearby module, in `use` or inline.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || "_:$".contains(c)) {
                continue;
            }
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(rest.len());
            if rest[end..].starts_with('{') {
                found.extend(expanded(rest.split(';').next().unwrap_or(rest)));
            } else {
                found.push(rest[..end].to_owned());
            }
        }
    }
    found
}

/// The innermost module that a path leads to.
fn target(from: &Module, path: &str, all: &BTreeMap<Module, String>) -> Module {
    let mut words = path.split("::").peekable();
    let mut at = from.clone();
    if words.next_if_eq(&"crate").is_some() {
        at.clear();
    }
    while let Some(word) = words.next_if(|word| ["super", "self"].contains(word)) {
        if word == "super" {
            at.pop();
        }
    }
    for word in words {
        at.push(word.to_owned());
        if !all.contains_key(&at) {
            at.pop();
            break;
        }
    }
    at
}

/// The import cycles of a crate, each with its modules and imports.
fn circles(source: &Path) -> Vec<String> {
    let all = modules(source);
    assert!(!all.is_empty(), "no source in {}", source.display());
    // Folder → (module in it → (module in it that it uses → one file with that import)).
    let mut uses: BTreeMap<Module, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
    for (from, text) in &all {
        for path in paths(text) {
            let to = target(from, &path, &all);
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            if let (Some(a), Some(b)) = (from.get(common), to.get(common)) {
                let of_folder = uses.entry(from[..common].to_vec()).or_default();
                let why = format!("{} uses {path}", from.join("/"));
                of_folder.entry(a.clone()).or_default().entry(b.clone()).or_insert(why);
            }
        }
    }
    let mut found = Vec::new();
    for (folder, uses) in &uses {
        for start in uses.keys() {
            let mut reached = BTreeSet::new();
            let mut next: Vec<&String> = uses[start].keys().collect();
            while let Some(module) = next.pop() {
                if reached.insert(module) {
                    next.extend(uses.get(module).into_iter().flat_map(BTreeMap::keys));
                }
            }
            if reached.contains(start) {
                let why: Vec<&str> =
                    uses[start].iter().filter(|(to, _)| reached.contains(to)).map(|(_, w)| &**w).collect();
                found.push(format!("{}: {start}: {}", source.join(folder.join("/")).display(), why.join("; ")));
            }
        }
    }
    found
}

#[test]
fn imports_make_no_circle() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = vec![root.join("src")];
    for entry in std::fs::read_dir(root.join("crates")).unwrap() {
        sources.push(entry.unwrap().path().join("src"));
    }
    assert!(sources.len() > 4, "the crates were not found");
    let found: Vec<String> = sources.iter().flat_map(|source| circles(source)).collect();
    assert!(found.is_empty(), "modules that use each other:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "mod a;\nmod b;\n");
    write("a/mod.rs", "mod inner;\nuse crate::b::{self, X};\n");
    write("a/inner.rs", "use super::Y;\n");
    write("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a::Y;\n}\n");
    assert!(circles(dir.path()).is_empty(), "a child may use its parent, and tests what they want");
    write("b.rs", "// crate::a\nfn f() { crate::a::inner::g() }\n");
    let found = circles(dir.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("a uses crate::b") && found[1].contains("b uses crate::a::inner::g"), "{found:?}");
    write("b.rs", "");
    write("a/other.rs", "use super::inner;\n");
    write("a/inner.rs", "use crate::{a::other::Z, b};\n");
    assert_eq!(circles(dir.path()).len(), 2);
}

/// Modules that make or rename files on their own, not through `labimg_tree::files`, and why they may.
const OWN_WRITERS: [(&str, &str); 8] = [
    ("crates/labimg-tree/src/files", "this is the one place"),
    ("crates/labimg-store/src/", "the cache's lock holds nothing"),
    ("crates/labimg-store/src/slot", "a download that was cut goes on under its name"),
    ("src/secrets/folder", "folders that appear as a whole, and their lock"),
    ("src/boot/folder", "the lock of the run's own folder"),
    ("src/boot", "the log, which is read while it grows"),
    ("src/boot/disk", "the copy in the run's own folder"),
    ("src/boot/qemu", "what QEMU reads, in the run's own folder"),
];

/// What leaves the user's disk with half a file, or follows a link that somebody put there.
#[test]
fn files_are_put_in_place_by_one_module() {
    const WORDS: [&str; 9] = [
        "fs::write(",
        "fs_err::write(",
        "File::create",
        "fs::rename(",
        "fs_err::rename(",
        ".persist",
        "tempfile_in(",
        "OpenOptions::new()",
        "File::options()",
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = ["tree", "store", "disk", "debian"].map(|name| format!("crates/labimg-{name}/src"));
    let mut found = BTreeSet::new();
    for source in crates.into_iter().chain(["src".to_owned()]) {
        for (module, text) in modules(&root.join(&source)) {
            let found_in = |word: &&str| {
                text.match_indices(*word).any(|(at, _)| {
                    let before = text[..at].chars().next_back();
                    word.starts_with('.') || !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
                })
            };
            if WORDS.iter().any(&found_in) {
                found.insert(format!("{source}/{}", module.join("/")));
            }
        }
    }
    let known: BTreeSet<String> = OWN_WRITERS.iter().map(|(module, _)| (*module).to_owned()).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "{new:?}: use `labimg_tree::files`");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "{gone:?} no longer write on their own");
}

#[test]
fn only_the_printers_write_to_the_terminal() {
    let all = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    // The console of a booted node and the archive of an export are passed on as they are.
    let printers = ["cli/output", "cli/report", "cli/boot", "cli/export"];
    let writes = |text: &str| {
        ["stdout()", "stderr()"]
            .iter()
            .flat_map(|stream| text.match_indices(stream))
            .any(|(at, stream)| !text[at + stream.len()..].starts_with(".is_terminal()"))
    };
    let found: Vec<String> = all.iter().filter(|(_, text)| writes(text)).map(|(module, _)| module.join("/")).collect();
    assert_eq!(found, {
        let mut sorted = printers.to_vec();
        sorted.sort_unstable();
        sorted
    });
}
