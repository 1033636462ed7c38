//! A small initramfs: busybox, e2fsck, the modules needed to reach the root file system, and one `init`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;

use super::{KernelError, elf, module, newc};
use labimg_tree::{Inode, Kind, Tree, TreeError};

/// The first process; a POSIX shell script.
const INIT: &str = include_str!("init.sh");

/// Commands of busybox that get their own names: those that `init` uses, and those needed in a rescue shell.
const COMMANDS: &str = "[ blkid cat chroot cp cttyhack cut dd dmesg echo false findfs grep head hexdump insmod kill ln \
    ls lsmod mkdir mknod modprobe more mount mv od poweroff printf ps pwd readlink reboot rm rmmod sed setsid sh sleep \
    switch_root sync tail test tr true umount uname vi wc";

/// zstd level: higher ones hardly make the file smaller and slow down the build.
const LEVEL: i32 = 12;

/// Makes the initramfs of the kernel `version` from the tree's own packages: a cpio archive, for [`compress`].
///
/// `wanted` are names of modules in load order. Dependencies are added, built-in modules are left out. The tree needs
/// the indexes of [`super::depmod`].
///
/// # Errors
/// When a wanted module, busybox or a library is not in the tree, or a file cannot be read.
pub fn make(tree: &Tree, version: &str, wanted: &[String]) -> Result<Vec<u8>, KernelError> {
    let mut root = Tree::new(tree.time());
    for (link, target) in [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib")] {
        root.symlink(link, target)?;
    }
    for folder in ["dev", "proc", "root", "run", "sys", "usr/bin", "usr/lib", "usr/sbin", "etc"] {
        root.mkdir(folder, 0o755)?;
    }
    // The kernel opens `/dev/console` for the first process before that process can mount anything.
    let console = Inode {
        kind: Kind::Char(5, 1),
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: tree.time(),
        xattrs: BTreeMap::new(),
        layer: root.begin_layer("initramfs"),
    };
    root.insert(&labimg_tree::TreePath::new("dev/console").map_err(TreeError::Path)?, console)?;
    program(tree, &mut root, "usr/bin/busybox")?;
    for command in COMMANDS.split_whitespace() {
        root.symlink(format!("usr/bin/{command}"), "busybox")?;
    }
    // Only an ext4 root file system is checked here, so e2fsprogs may be missing.
    if tree.contains("usr/sbin/e2fsck") {
        program(tree, &mut root, "usr/sbin/e2fsck")?;
        root.symlink("etc/mtab", "/proc/mounts")?;
    }
    root.write("init", 0o755, INIT)?;
    modules(tree, &mut root, version, wanted)?;

    newc::write(&root, Vec::new()).map_err(|source| KernelError::Write { what: "the initramfs", source })
}

/// Compresses an initramfs with zstd, as the kernel reads it. The same archive gives the same bytes.
///
/// # Errors
/// A write error of `out`.
pub fn compress(archive: &[u8], out: &mut File) -> Result<(), KernelError> {
    let pack = || {
        let mut packer = zstd::Encoder::new(out, LEVEL)?;
        packer.include_checksum(true)?;
        packer.write_all(archive)?;
        packer.finish().map(drop)
    };
    pack().map_err(|source| KernelError::Write { what: "the initramfs", source })
}

/// Copies a program and everything it needs to start.
fn program(tree: &Tree, root: &mut Tree, path: &str) -> Result<(), KernelError> {
    if !tree.contains(tree.resolve(path)?) {
        return Err(KernelError::Program { path: format!("/{path}"), cause: "it is not in the tree".into() });
    }
    root.write(path, 0o755, tree.read(path)?)?;
    let mut placed = BTreeMap::new();
    for (place, real) in elf::closure(tree, path)? {
        match placed.get(&real) {
            Some(first) => root.symlink(&place, format!("{first}"))?,
            None => root.write(&place, 0o755, tree.read(&real)?)?,
        }
        placed.entry(real).or_insert(place);
    }
    Ok(())
}

/// Copies the wanted modules and their dependencies, decompressed, with the lists needed to load them.
fn modules(tree: &Tree, root: &mut Tree, version: &str, wanted: &[String]) -> Result<(), KernelError> {
    let folder = super::modules_folder(tree, version)?;
    let read = |name: &str| tree.read_text(folder.join(name).map_err(TreeError::Path)?);
    let known = Known {
        dependencies: &read("modules.dep")?,
        soft: &read("modules.softdep")?,
        aliases: &read("modules.alias")?,
        builtin: &read("modules.builtin")?,
    };
    let chosen = known.choose(wanted).map_err(|name| KernelError::NoModule { name, version: version.to_owned() })?;
    let mut dependencies = String::new();
    for (_, line) in &chosen {
        let (path, needs) = line.split_once(':').unwrap_or((line, ""));
        let packed = tree.read(folder.join(path).map_err(TreeError::Path)?)?;
        let bad = |what: String| KernelError::Module { path: format!("{folder}/{path}"), cause: what.into() };
        let plain = module::decompress(path.as_bytes(), packed).map_err(bad)?;
        let here = folder.join(module::uncompressed(path)).map_err(TreeError::Path)?;
        root.write(here, 0o644, plain)?;
        dependencies.push_str(module::uncompressed(path));
        dependencies.push(':');
        for need in needs.split_whitespace() {
            dependencies.push(' ');
            dependencies.push_str(module::uncompressed(need));
        }
        dependencies.push('\n');
    }
    root.write(folder.join("modules.dep").map_err(TreeError::Path)?, 0o644, dependencies)?;
    // busybox's modprobe reads both when a name is not a module's.
    root.write(folder.join("modules.alias").map_err(TreeError::Path)?, 0o644, "")?;
    root.write(folder.join("modules.symbols").map_err(TreeError::Path)?, 0o644, "")?;
    let names: Vec<_> = chosen.iter().map(|(name, _)| name.as_str()).collect();
    root.write("etc/modules", 0o644, names.join("\n") + "\n")?;
    Ok(())
}

/// The module indexes, parsed.
struct Known<'a> {
    dependencies: &'a str,
    soft: &'a str,
    aliases: &'a str,
    builtin: &'a str,
}

impl<'a> Known<'a> {
    /// The wanted modules with their dependencies, in load order: name and line of modules.dep.
    ///
    /// The error is the name that is neither a module nor built in.
    fn choose(&self, wanted: &[String]) -> Result<Vec<(String, &'a str)>, String> {
        let lines: BTreeMap<String, &str> = self
            .dependencies
            .lines()
            .filter_map(|line| line.split_once(':').map(|(path, _)| (plain(path), line)))
            .collect();
        let builtin: BTreeSet<String> = self.builtin.lines().map(plain).collect();
        let mut soft: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in self.soft.lines().filter_map(|l| l.strip_prefix("softdep ")) {
            let mut words = line.split_whitespace();
            if let Some(name) = words.next() {
                // Both kinds, `pre:` and `post:`, are loaded before the module here: one pass must be enough to reach
                // the root.
                soft.entry(name).or_default().extend(words.filter(|w| !w.ends_with(':')));
            }
        }
        let mut chosen = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            let name = plain(name);
            if lines.contains_key(&name) {
                self.visit(name, &lines, &soft, &mut seen, &mut chosen);
            } else if !builtin.contains(&name) {
                return Err(name);
            }
        }
        Ok(chosen)
    }

    /// Adds one module after all its dependencies.
    fn visit(
        &self,
        name: String,
        lines: &BTreeMap<String, &'a str>,
        soft: &BTreeMap<&str, Vec<&str>>,
        seen: &mut BTreeSet<String>,
        chosen: &mut Vec<(String, &'a str)>,
    ) {
        let Some(line) = lines.get(&name) else { return };
        if !seen.insert(name.clone()) {
            return;
        }
        // A soft dependency may be an alias, built in, or missing.
        for wish in soft.get(name.as_str()).into_iter().flatten() {
            let wish = self.alias(wish).unwrap_or_else(|| plain(wish));
            self.visit(wish, lines, soft, seen, chosen);
        }
        // A line lists users before their dependencies.
        let needs = line.split_once(':').map_or("", |(_, needs)| needs);
        for need in needs.split_whitespace().rev() {
            self.visit(plain(need), lines, soft, seen, chosen);
        }
        chosen.push((name, line));
    }

    /// The module of an alias without wildcards.
    fn alias(&self, alias: &str) -> Option<String> {
        self.aliases.lines().find_map(|line| {
            let (found, module) = line.strip_prefix("alias ")?.split_once(' ')?;
            (found == alias).then(|| module.to_owned())
        })
    }
}

/// A module's name from its path or a name with dashes.
fn plain(path: &str) -> String {
    String::from_utf8_lossy(&module::name(path.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known {
        dependencies: "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/fs/mbcache.ko.xz\n\
                       kernel/fs/jbd2/jbd2.ko.xz:\n\
                       kernel/fs/mbcache.ko.xz:\n\
                       kernel/crypto/crc32c_generic.ko.xz:\n",
        soft: "softdep jbd2 pre: crypto-crc32c post: not-there\n",
        aliases: "# x\nalias crypto-crc32c crc32c_generic\n",
        builtin: "kernel/drivers/mmc/core/mmc_block.ko\n",
    };

    #[test]
    fn modules_come_behind_what_they_need() {
        let wanted = ["mmc-block", "ext4", "ext4"].map(String::from);
        let chosen = KNOWN.choose(&wanted).unwrap();
        let names: Vec<_> = chosen.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["mbcache", "crc32c_generic", "jbd2", "ext4"]);
    }

    #[test]
    fn a_module_that_does_not_exist_is_named() {
        assert_eq!(KNOWN.choose(&["ext5".to_owned()]).unwrap_err(), "ext5");
    }

    #[test]
    fn the_script_passes_shellcheck() {
        if labimg_testkit::judges::missing(&["shellcheck"]) {
            return;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kernel/init.sh");
        let output = std::process::Command::new("shellcheck")
            .args(["-s", "sh", script])
            .output()
            .expect("this test needs the program `shellcheck`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
