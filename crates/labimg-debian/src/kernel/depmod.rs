//! Module indexes as kmod 34's `depmod` writes them, byte for byte.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use rayon::prelude::*;

use super::module::{self, Module};
use super::trie::Trie;
use super::{KernelError, superfast};
use labimg_tree::interrupt;
use labimg_tree::{Blob, Content, Kind, Tree, TreeError};

/// The lists that a kernel build puts beside its modules.
#[derive(Debug, Clone, Default)]
pub struct Lists {
    /// `modules.order`: paths without the compression suffix, in link order.
    pub order: Vec<u8>,
    /// `modules.builtin`: paths of built-in modules.
    pub builtin: Vec<u8>,
    /// `modules.builtin.modinfo`: `module.key=value`, each NUL-terminated.
    pub builtin_modinfo: Vec<u8>,
}

/// Makes the index files of all modules of `version` and puts them into the tree.
///
/// # Errors
/// When there are no modules of the version, or one is damaged.
pub fn run(tree: &mut Tree, version: &str) -> Result<(), KernelError> {
    let files = of_tree(tree, version)?;
    let folder = super::modules_folder(tree, version)?;
    for (name, bytes) in files {
        tree.write(folder.join(name).map_err(TreeError::Path)?, 0o644, bytes)?;
    }
    Ok(())
}

/// As [`run`], but writes the files to `out` as one archive for [`install`], to be kept in the store.
///
/// # Errors
/// As [`run`], or a write error.
pub fn make(tree: &Tree, version: &str, out: impl Write) -> Result<(), KernelError> {
    let files = of_tree(tree, version)?;
    let mut archive = tar::Builder::new(out);
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, &name, bytes.as_slice()).map_err(KernelError::Archive)?;
    }
    archive.into_inner().map_err(KernelError::Archive).map(drop)
}

/// Puts the index files of an archive from [`make`] into the tree.
///
/// # Errors
/// When the archive is damaged or the tree has no modules of the version.
pub fn install(tree: &mut Tree, version: &str, archive: &Blob) -> Result<(), KernelError> {
    let folder = super::modules_folder(tree, version)?;
    let content = Content::whole(archive.clone());
    let mut reader = tar::Archive::new(labimg_tree::ContentReader::new(&content));
    for entry in reader.entries().map_err(KernelError::Archive)? {
        let entry = entry.map_err(KernelError::Archive)?;
        let part = Content::Range { blob: archive.clone(), offset: entry.raw_file_position(), len: entry.size() };
        tree.write(folder.join(entry.path_bytes().as_ref()).map_err(TreeError::Path)?, 0o644, part)?;
    }
    Ok(())
}

fn of_tree(tree: &Tree, version: &str) -> Result<BTreeMap<String, Vec<u8>>, KernelError> {
    let folder = super::modules_folder(tree, version)?;
    let skip = folder.as_bytes().len() + 1;
    let modules: Vec<(String, Content)> = tree
        .below(&folder)
        .filter(|(path, _, _)| module::ENDINGS.iter().any(|e| path.as_bytes().ends_with(e.as_bytes())))
        .filter_map(|(path, _, inode)| match &inode.kind {
            Kind::File(content) => {
                let relative = path.as_bytes().get(skip..)?;
                Some((String::from_utf8_lossy(relative).into_owned(), content.clone()))
            }
            _ => None,
        })
        .filter(|(path, _)| !path.starts_with("build/") && !path.starts_with("source/"))
        .collect();
    let list = |name: &str| tree.read(folder.join(name).map_err(TreeError::Path)?);
    let lists = Lists {
        order: list("modules.order")?,
        builtin: list("modules.builtin")?,
        builtin_modinfo: list("modules.builtin.modinfo")?,
    };
    index(&modules, &lists)
}

/// One module. Indices point into a list of these in the order of modules.order.
struct Entry<'a> {
    path: &'a str,
    name: Vec<u8>,
    module: Module,
    /// Its direct dependencies, by index.
    needs: Vec<usize>,
}

/// Makes the index files by name, from modules (path below the version's folder, content as packaged) and the kernel's
/// lists.
///
/// Of two modules of the same name the one below `updates/` counts (the default of depmod.d(5)), else the first by path.
///
/// # Errors
/// A module that cannot be read or understood, or a dependency cycle of modules.
pub fn index(modules: &[(String, Content)], lists: &Lists) -> Result<BTreeMap<String, Vec<u8>>, KernelError> {
    let mut chosen: BTreeMap<Vec<u8>, &(String, Content)> = BTreeMap::new();
    for candidate in modules {
        let rank = |(path, _): &(String, Content)| (!path.starts_with("updates/"), path.clone());
        let slot = chosen.entry(module::name(candidate.0.as_bytes())).or_insert(candidate);
        if rank(candidate) < rank(slot) {
            *slot = candidate;
        }
    }
    let mut entries = in_order(&chosen, &lists.order)
        .into_par_iter()
        .map(|(name, (path, content))| {
            interrupt::check()?;
            let bad = |what: String| KernelError::Module { path: path.clone(), cause: what.into() };
            let packed = content.to_vec().map_err(|e| bad(e.to_string()))?;
            let module = Module::parse(&module::decompress(path.as_bytes(), packed).map_err(bad)?).map_err(bad)?;
            Ok(Entry { path, name, module, needs: Vec::new() })
        })
        .collect::<Result<Vec<_>, KernelError>>()?;

    // Of two modules that export the same symbol, the later one counts.
    let mut symbols: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        symbols.extend(std::mem::take(&mut entry.module.exports).into_iter().map(|name| (name, index)));
    }
    for entry in &mut entries {
        let mut needs = Vec::new();
        for symbol in std::mem::take(&mut entry.module.needs) {
            // On PowerPC `.name` is the code of `name`.
            let symbol = symbol.strip_prefix(b".").unwrap_or(&symbol);
            if let Some(&owner) = symbols.get(symbol)
                && !needs.contains(&owner)
            {
                needs.push(owner);
            }
        }
        entry.needs = needs;
    }
    let ranks = topological(&entries)?;
    let lines = dependency_lines(&entries, &ranks);
    Ok(outputs(&entries, &lines, &symbols, lists))
}

/// The chosen modules in the order of modules.order; unlisted ones come last, in the order of kmod's hash table.
fn in_order<'a>(
    chosen: &BTreeMap<Vec<u8>, &'a (String, Content)>,
    order: &[u8],
) -> Vec<(Vec<u8>, &'a (String, Content))> {
    let mut place: HashMap<&[u8], usize> = HashMap::new();
    for (at, line) in order.split(|&b| b == b'\n').enumerate() {
        place.entry(line).or_insert(at);
    }
    let mut all: Vec<_> = superfast::walk(chosen, superfast::MODULE_BUCKETS)
        .into_iter()
        .map(|(name, module)| (name.to_vec(), *module))
        .collect();
    all.sort_by_key(|(_, (path, _))| place.get(module::uncompressed(path).as_bytes()).copied().unwrap_or(usize::MAX));
    all
}

/// The rank of each module, in an order where every module comes before its dependencies.
fn topological(entries: &[Entry]) -> Result<Vec<usize>, KernelError> {
    let mut users = vec![0_u32; entries.len()];
    for &need in entries.iter().flat_map(|e| &e.needs) {
        users[need] += 1;
    }
    let mut ready: Vec<usize> = (0..entries.len()).filter(|&i| users[i] == 0).collect();
    let mut ranks = vec![usize::MAX; entries.len()];
    let mut next = 0;
    while let Some(at) = ready.pop() {
        ranks[at] = next;
        next += 1;
        for &need in &entries[at].needs {
            users[need] -= 1;
            if users[need] == 0 {
                ready.push(need);
            }
        }
    }
    if next < entries.len() {
        let names: Vec<_> =
            entries.iter().zip(&ranks).filter(|(_, r)| **r == usize::MAX).map(|(e, _)| e.path).collect();
        return Err(KernelError::Cycle(names.join(", ")));
    }
    Ok(ranks)
}

/// The lines of modules.dep: each module with all its direct and indirect dependencies, users first.
fn dependency_lines(entries: &[Entry], ranks: &[usize]) -> Vec<String> {
    (0..entries.len())
        .map(|start| {
            let mut all = Vec::new();
            let mut todo = entries[start].needs.clone();
            while let Some(at) = todo.pop() {
                if !all.contains(&at) {
                    all.push(at);
                    todo.extend(&entries[at].needs);
                }
            }
            all.sort_by_key(|&at| ranks[at]);
            let mut line = format!("{}:", entries[start].path);
            for at in all {
                line.push(' ');
                line.push_str(entries[at].path);
            }
            line
        })
        .collect()
}

fn outputs(
    entries: &[Entry],
    lines: &[String],
    symbols: &BTreeMap<Vec<u8>, usize>,
    lists: &Lists,
) -> BTreeMap<String, Vec<u8>> {
    let mut dep = Vec::new();
    let mut dep_bin = Trie::default();
    let mut alias = b"# Aliases extracted from modules themselves.\n".to_vec();
    let mut alias_bin = Trie::default();
    let mut softdep = b"# Soft dependencies extracted from modules themselves.\n".to_vec();
    let mut weakdep = b"# Weak dependencies extracted from modules themselves.\n".to_vec();
    let mut devname = Vec::new();
    for (index, (entry, line)) in entries.iter().zip(lines).enumerate() {
        words(&mut dep, &[line.as_bytes()]);
        // Keys and values that are not 7-bit text are left out of the binary indexes, which cannot hold them.
        let _ = dep_bin.insert(&entry.name, line.as_bytes(), index as u32);
        for value in entry.module.info(b"alias") {
            words(&mut alias, &[b"alias", value, &entry.name]);
            if let Some(key) = normal_alias(value) {
                let _ = alias_bin.insert(&key, &entry.name, index as u32);
            }
        }
        for value in entry.module.info(b"softdep") {
            words(&mut softdep, &[b"softdep", &entry.name, value]);
        }
        for value in entry.module.info(b"weakdep") {
            words(&mut weakdep, &[b"weakdep", &entry.name, value]);
        }
        if let Some((node, number)) = device_node(&entry.module) {
            if devname.is_empty() {
                devname.extend(b"# Device nodes to trigger on-demand module loading.\n");
            }
            words(&mut devname, &[&entry.name, node, number.as_bytes()]);
        }
    }
    let mut symbol = b"# Aliases for symbols, used by symbol_request().\n".to_vec();
    let mut symbol_bin = Trie::default();
    for (name, &owner) in superfast::walk(symbols, superfast::SYMBOL_BUCKETS) {
        let key = [b"symbol:", name].concat();
        words(&mut symbol, &[b"alias", &key, &entries[owner].name]);
        let _ = symbol_bin.insert(&key, &entries[owner].name, owner as u32);
    }
    BTreeMap::from([
        ("modules.dep".into(), dep),
        ("modules.dep.bin".into(), dep_bin.to_bytes()),
        ("modules.alias".into(), alias),
        ("modules.alias.bin".into(), alias_bin.to_bytes()),
        ("modules.softdep".into(), softdep),
        ("modules.weakdep".into(), weakdep),
        ("modules.symbols".into(), symbol),
        ("modules.symbols.bin".into(), symbol_bin.to_bytes()),
        ("modules.builtin.bin".into(), builtin(&lists.builtin).to_bytes()),
        ("modules.builtin.alias.bin".into(), builtin_alias(&lists.builtin_modinfo).to_bytes()),
        ("modules.devname".into(), devname),
    ])
}

/// Appends a line of words.
fn words(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend(words.join(&b' '));
    out.push(b'\n');
}

fn builtin(list: &[u8]) -> Trie {
    let mut trie = Trie::default();
    for line in list.split(|&b| b == b'\n').filter(|l| l.first().is_some_and(u8::is_ascii_alphabetic)) {
        let _ = trie.insert(&module::name(line), b"", 0);
    }
    trie
}

fn builtin_alias(modinfo: &[u8]) -> Trie {
    let mut trie = Trie::default();
    for record in modinfo.split(|&b| b == 0) {
        let mut parts = record.splitn(2, |&b| b == b'.');
        let (Some(name), Some(pair)) = (parts.next(), parts.next()) else { continue };
        if let Some(key) = pair.strip_prefix(b"alias=").and_then(normal_alias)
            && !key.is_empty()
        {
            let _ = trie.insert(&key, name, 0);
        }
    }
    trie
}

/// An alias with `_` for `-` outside of `[…]`; `None` when brackets are unbalanced.
fn normal_alias(alias: &[u8]) -> Option<Vec<u8>> {
    let mut inside = false;
    let mut normal = Vec::with_capacity(alias.len());
    for &b in alias {
        match b {
            b'[' => inside = true,
            b']' if !inside => return None,
            b']' => inside = false,
            _ => {}
        }
        normal.push(if b == b'-' && !inside { b'_' } else { b });
    }
    (!inside).then_some(normal)
}

/// The device node that loads the module when it is opened: its name below `/dev`, and kind and number as `c10:200`.
fn device_node(module: &Module) -> Option<(&[u8], String)> {
    let mut node = None;
    let mut number = None;
    for alias in module.info(b"alias") {
        if let Some(name) = alias.strip_prefix(b"devname:") {
            node = Some(name);
        } else if let Some((major, minor)) = alias.strip_prefix(b"char-major-").and_then(numbers) {
            number = Some(format!("c{major}:{minor}"));
        } else if let Some((major, minor)) = alias.strip_prefix(b"block-major-").and_then(numbers) {
            number = Some(format!("b{major}:{minor}"));
        }
        if node.is_some() && number.is_some() {
            break;
        }
    }
    node.zip(number)
}

/// `10-200`, with any text after it.
fn numbers(text: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (major, rest) = text.split_once('-')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((major.parse().ok()?, rest.get(..digits)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_stay_inside_brackets() {
        assert_eq!(normal_alias(b"usb:v-[0-9]-*").unwrap(), b"usb:v_[0-9]_*");
        assert_eq!(normal_alias(b"a]"), None);
        assert_eq!(normal_alias(b"a[b"), None);
    }

    #[test]
    fn device_numbers() {
        assert_eq!(numbers(b"10-200"), Some((10, 200)));
        assert_eq!(numbers(b"10-*"), None);
    }

    #[test]
    fn a_damaged_module_is_named() {
        let modules = [("kernel/a.ko".to_owned(), Content::from("not ELF"))];
        let error = index(&modules, &Lists::default()).unwrap_err();
        assert_eq!(error.to_string(), "kernel/a.ko is not a usable kernel module");
        assert_eq!(labimg_tree::fault::causes(&error).len(), 1, "{error:?}");
    }

    #[test]
    fn kept_indexes_are_put_back() {
        let mut tree = Tree::new(0);
        for list in ["modules.order", "modules.builtin.modinfo"] {
            tree.write(format!("usr/lib/modules/v/{list}"), 0o644, "").unwrap();
        }
        tree.write("usr/lib/modules/v/modules.builtin", 0o644, "kernel/lib/crc-x.ko\n").unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        let kept = tempfile::NamedTempFile::new().unwrap();
        make(&tree, "v", kept.as_file()).unwrap();
        let mut direct = tree.clone();
        run(&mut direct, "v").unwrap();
        install(&mut tree, "v", &Blob::open(kept.path()).unwrap()).unwrap();
        let files = |tree: &Tree| -> Vec<(String, Option<Vec<u8>>)> {
            tree.iter().map(|(path, _, _)| (path.to_string(), tree.read(path).ok())).collect()
        };
        assert_eq!(files(&tree), files(&direct));
        assert!(tree.read("lib/modules/v/modules.builtin.bin").unwrap().windows(5).any(|w| w == b"rc_x\0"));
    }
}
