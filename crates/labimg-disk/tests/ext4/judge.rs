//! The judges that need no privileges: e2fsprogs and two readers.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use fs_ext4::Filesystem;
use fs_ext4::block_io::FileDevice;
use labimg_disk::write::Sparse;
use labimg_disk::write::ext4::{Ext4Options, minimum_size, write};
use labimg_tree::{Content, Inode, InodeId, Kind, Tree};
use tempfile::NamedTempFile;

/// Runs a tool that must succeed; returns its output.
pub fn run(tool: &str, args: &[&OsStr]) -> String {
    let output = Command::new(tool)
        .args(args)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("PATH", format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default()))
        .output()
        .unwrap_or_else(|e| panic!("{tool} is needed for this test (package e2fsprogs, mount): {e}"));
    let said = [output.stdout, output.stderr].map(|o| String::from_utf8_lossy(&o).into_owned()).concat();
    assert!(output.status.success(), "{tool} {args:?}: {}\n{said}", output.status);
    said
}

pub fn fsck(image: &Path) {
    run("e2fsck", &["-fn".as_ref(), image.as_os_str()]);
}

pub fn debugfs(image: &Path, request: &str) -> String {
    run("debugfs", &["-R".as_ref(), request.as_ref(), image.as_os_str()])
}

fn shown(image: &Path, field: &str) -> String {
    let all = run("dumpe2fs", &["-h".as_ref(), image.as_os_str()]);
    let line = all.lines().find_map(|l| l.strip_prefix(field)).unwrap_or_else(|| panic!("no {field} in {all}"));
    line.trim().to_owned()
}

pub fn block_count(image: &Path) -> u64 {
    shown(image, "Block count:").parse().unwrap()
}

/// Where the inode tables are, in bytes.
pub fn inode_tables(image: &Path) -> Vec<std::ops::Range<u64>> {
    let all = run("dumpe2fs", &[image.as_os_str()]);
    let places = all.lines().filter_map(|line| line.trim().strip_prefix("Inode table at "));
    let range = |place: &str| {
        let (from, to) = place.split_whitespace().next().unwrap().split_once('-').unwrap();
        from.parse::<u64>().unwrap() * 4096..(to.parse::<u64>().unwrap() + 1) * 4096
    };
    places.map(range).collect()
}

pub fn features(image: &Path) -> String {
    shown(image, "Filesystem features:")
}

pub fn options(size: u64) -> Ext4Options {
    Ext4Options::new(size, [0x42; 16], [0x17; 16], 1_700_000_000)
}

/// An image in a temporary file.
pub struct Image(NamedTempFile);

impl Image {
    /// Writes a tree into `size` bytes; 0 for as few as possible.
    pub fn write(tree: &Tree, size: u64) -> Self {
        let size = if size == 0 { minimum_size(tree, &options(0)).unwrap() } else { size };
        Self::with(tree, &options(size))
    }

    pub fn with(tree: &Tree, options: &Ext4Options) -> Self {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(options.size).unwrap();
        let summary = write(tree, &Sparse::new(file.as_file()), 0, options, &labimg_tree::progress::Silent).unwrap();
        assert!(summary.blocks * 4096 <= options.size && summary.free_inodes > 0);
        Self(file)
    }

    /// The data of the image on a disk that was full of other bytes, as `bmaptool` copies it.
    pub fn over_noise(&self) -> Self {
        let file = NamedTempFile::new().unwrap();
        labimg_testkit::used_card::over_noise(self.file(), file.as_file());
        Self(file)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self) -> &File {
        self.0.as_file()
    }

    /// Reads everything with both readers and compares it with the tree.
    pub fn compare(&self, tree: &Tree) {
        self.compare_by_rust_fs_ext4(tree);
        self.compare_by_ext4_view(tree);
    }

    fn compare_by_rust_fs_ext4(&self, tree: &Tree) {
        let device = std::sync::Arc::new(FileDevice::open_path(self.path()).unwrap());
        let fs = Filesystem::mount(device).unwrap();
        let mut names: BTreeMap<Vec<u8>, u32> = BTreeMap::from([(Vec::new(), 2)]);
        let mut todo = vec![(Vec::new(), 2)];
        while let Some((folder, ino)) = todo.pop() {
            for entry in fs.read_dir_ino(ino).unwrap() {
                if entry.name == b"." || entry.name == b".." {
                    continue;
                }
                let path = if folder.is_empty() { entry.name } else { [&folder[..], b"/", &entry.name].concat() };
                if fs.stat_ino(entry.inode).unwrap().mode & 0o170_000 == 0o040_000 {
                    todo.push((path.clone(), entry.inode));
                }
                assert!(names.insert(path, entry.inode).is_none(), "a name stands twice");
            }
        }
        if !tree.contains("lost+found") {
            assert!(names.remove(&b"lost+found"[..]).is_some(), "no lost+found");
        }
        assert_eq!(names.len(), tree.len());
        let mut by_id: HashMap<InodeId, u32> = HashMap::new();
        for (path, id, inode) in tree.iter() {
            let ino = *names.get(path.as_bytes()).unwrap_or_else(|| panic!("{path} is missing"));
            if let Some(first) = by_id.insert(id, ino) {
                assert_eq!(first, ino, "{path} is no hard link");
                continue;
            }
            // Looks names up by hash, as the kernel does.
            let (parent, name) = (path.parent().map(|p| names[p.as_bytes()]), path.name());
            if let Some(parent) = parent {
                assert_eq!(fs.lookup_at(parent, name).unwrap(), ino, "{path} is not found by its hash");
            }
            let (found, raw) = fs.read_inode_verified(ino).unwrap_or_else(|e| panic!("{path}: {e:?}"));
            let wanted = (inode.kind.type_bits() | inode.mode, inode.uid, inode.gid);
            assert_eq!((found.mode, found.uid, found.gid), wanted, "{path}");
            for time in [found.mtime, found.atime, found.ctime, found.crtime] {
                assert_eq!(time, inode.mtime, "{path}");
            }
            match &inode.kind {
                Kind::File(content) => {
                    assert_eq!(found.size, content.len(), "{path}");
                    for (at, wanted) in samples(content) {
                        let mut bytes = vec![0; wanted.len()];
                        assert_eq!(fs.read_ino(ino, at, &mut bytes).unwrap(), wanted.len());
                        assert!(bytes == wanted, "{path} differs in the {} bytes at {at}", wanted.len());
                    }
                }
                Kind::Symlink(target) => assert_eq!(fs.read_link(ino).unwrap(), *target, "{path}"),
                Kind::Char(major, minor) | Kind::Block(major, minor) => {
                    let word = |at: usize| u32::from_le_bytes(found.block[at..at + 4].try_into().unwrap());
                    let device = if word(0) == 0 {
                        (word(4) >> 8 & 0xFFF, word(4) & 0xFF | word(4) >> 12 & 0xF_FF00)
                    } else {
                        (word(0) >> 8, word(0) & 0xFF)
                    };
                    assert_eq!(device, (*major, *minor), "{path}");
                }
                _ => {}
            }
            let not_acl = |name: &str| !name.starts_with("system.posix_acl");
            let xattrs: BTreeMap<String, Vec<u8>> = fs_ext4::xattr::read_all_resolved(&fs, &found, &raw)
                .unwrap()
                .into_iter()
                .map(|x| (x.name, x.value))
                .filter(|(name, _)| not_acl(name))
                .collect();
            // ACLs are stored in another format than `getxattr` returns; the kernel judges these.
            let wanted: BTreeMap<_, _> = inode.xattrs.clone().into_iter().filter(|(name, _)| not_acl(name)).collect();
            assert_eq!(xattrs, wanted, "{path}");
        }
    }

    fn compare_by_ext4_view(&self, tree: &Tree) {
        let fs = ext4_view::Ext4::load(Box::new(ImageReader(self.0.reopen().unwrap()))).unwrap();
        // Unlike the kernel it reads the lower half of a time as unsigned, and refuses what does not fit 31 bits.
        for (path, _, inode) in tree.iter().filter(|(_, _, i)| i.mtime as i32 >= 0) {
            let absolute = [b"/", path.as_bytes()].concat();
            let view = ext4_view::Path::try_from(&absolute[..]).unwrap();
            let meta = fs.symlink_metadata(view).unwrap_or_else(|e| panic!("{path}: {e}"));
            assert_eq!((meta.mode(), meta.uid(), meta.gid()), (inode.mode, inode.uid, inode.gid), "{path}");
            assert_eq!(meta.modified().seconds(), inode.mtime, "{path}");
            match &inode.kind {
                Kind::Symlink(target) => assert_eq!(fs.read_link(view).unwrap().as_path().as_ref(), &target[..]),
                Kind::File(content) if content.len() < 1 << 26 => {
                    assert!(fs.read(view).unwrap() == content.to_vec().unwrap(), "{path} differs");
                }
                _ => {}
            }
        }
    }
}

struct ImageReader(File);

impl ext4_view::Ext4Read for ImageReader {
    fn read(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, at).map_err(Into::into)
    }
}

/// A small content whole; of a large one the pieces and the bytes around them.
fn samples(content: &Content) -> Vec<(u64, Vec<u8>)> {
    let ranges: Vec<(u64, u64)> = match content {
        Content::Sparse { len, pieces } if *len > 1 << 26 => pieces
            .iter()
            .map(|(at, piece)| (at.saturating_sub(5000), (at + piece.len() + 5000).min(*len)))
            .chain([(len / 3, len / 3 + 10_000)])
            .collect(),
        _ => (0..content.len()).step_by(1 << 20).map(|at| (at, (at + (1 << 20)).min(content.len()))).collect(),
    };
    let read = |(from, to): (u64, u64)| {
        let mut bytes = vec![0; (to - from) as usize];
        content.read_exact_at(&mut bytes, from).unwrap();
        (from, bytes)
    };
    ranges.into_iter().map(read).collect()
}

/// How much of a tree is expected to come back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What `debugfs rdump` extracts: no hard links, devices or attributes; no times and owners of links.
    Dumped,
    /// Everything.
    Mounted,
}

/// Compares a tree with what was read back from an image of it.
pub fn compare(wanted: &Tree, found: &Tree, depth: Depth) {
    let special = |i: &Inode| matches!(i.kind, Kind::Char(..) | Kind::Block(..) | Kind::Fifo | Kind::Socket);
    let lost = |path: &[u8]| path == b"lost+found";
    let names = |tree: &Tree| -> Vec<Vec<u8>> {
        let all = tree.iter().filter(|(p, _, i)| !lost(p.as_bytes()) && (depth == Depth::Mounted || !special(i)));
        all.map(|(p, _, _)| p.as_bytes().to_vec()).collect()
    };
    assert!(names(wanted) == names(found), "the names differ");
    let mut ids = HashMap::new();
    for (path, id, inode) in wanted.iter().filter(|(p, _, _)| !lost(p.as_bytes())) {
        let Some(back) = found.get(path) else { continue };
        if depth == Depth::Mounted {
            assert_eq!(*ids.entry(id).or_insert(found.id(path)), found.id(path), "{path}: links differ");
            assert_eq!(inode.xattrs, back.xattrs, "{path}");
        }
        if depth == Depth::Mounted || !(path.is_root() || matches!(inode.kind, Kind::Symlink(_))) {
            // `rdump` only restores the plain permissions.
            let kept = if depth == Depth::Mounted { 0o7777 } else { 0o777 };
            let all = |i: &Inode| (i.kind.type_bits(), i.mode & kept, i.uid, i.gid, i.mtime);
            assert_eq!(all(inode), all(back), "{path}");
        }
        match (&inode.kind, &back.kind) {
            (Kind::File(a), Kind::File(b)) => {
                assert_eq!(a.len(), b.len(), "{path}");
                for (at, bytes) in samples(a) {
                    let mut other = vec![1; bytes.len()];
                    b.read_exact_at(&mut other, at).unwrap();
                    assert!(bytes == other, "{path} differs at {at}");
                }
            }
            (Kind::Symlink(a), Kind::Symlink(b)) => assert_eq!(a, b, "{path}"),
            (Kind::Char(a, b), Kind::Char(c, d)) | (Kind::Block(a, b), Kind::Block(c, d)) => assert_eq!((a, b), (c, d)),
            (a, b) => assert_eq!(a.type_bits(), b.type_bits(), "{path}"),
        }
    }
}
