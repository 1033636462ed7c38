//! Random small trees.

use std::sync::Arc;

use labimg_tree::{Content, Kind, Tree, TreePath};
use proptest::prelude::*;

use super::judge::{Image, fsck};

#[derive(Debug, Clone)]
enum What {
    Folder,
    File(Vec<(u8, u16)>),
    Sparse(Vec<(u16, u8)>),
    Link(Vec<u8>),
    Again,
    Device(u16, u32),
    Fifo,
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        3 => Just(What::Folder),
        4 => prop::collection::vec((0..3_u8, 1..9000_u16), 0..5).prop_map(What::File),
        1 => prop::collection::vec((any::<u16>(), 1..255_u8), 0..400).prop_map(What::Sparse),
        1 => prop::collection::vec(1..255_u8, 1..200).prop_map(What::Link),
        1 => Just(What::Again),
        1 => (0..4096_u16, 0..1_048_576_u32).prop_map(|(a, b)| What::Device(a, b)),
        1 => Just(What::Fifo),
    ]
}

type Attributes = Vec<(String, Vec<u8>)>;
/// Folder, name, kind, mode, time, attributes.
type Planned = (usize, Vec<u8>, What, u16, i64, Attributes);

fn entries() -> impl Strategy<Value = Vec<Planned>> {
    let name = prop::collection::vec(any::<u8>().prop_filter("no part of a path", |b| !b"\0/.".contains(b)), 1..100);
    let attribute = ("(user|trusted|security)\\.[a-z]{1,20}", prop::collection::vec(any::<u8>(), 0..200));
    let time = prop_oneof![-2_147_483_648..15_032_385_536_i64, 0..2_000_000_000_i64];
    let entry =
        (any::<prop::sample::Index>(), name, what(), 0..0o10_000_u16, time, prop::collection::vec(attribute, 0..4));
    prop::collection::vec(entry.prop_map(|(i, n, w, m, t, a)| (i.index(1000), n, w, m, t, a)), 0..150)
}

fn build(entries: &[Planned]) -> Tree {
    let mut tree = Tree::new(0);
    let (mut folders, mut files) = (vec![TreePath::root()], Vec::new());
    for (index, name, what, mode, time, attributes) in entries {
        let path = folders[index % folders.len()].join(name).unwrap();
        if tree.contains(&path) || path.as_bytes() == b"lost+found" {
            continue;
        }
        let kind = match what {
            What::Folder => {
                folders.push(path.clone());
                Kind::Dir
            }
            What::File(runs) => {
                let bytes: Vec<u8> = runs.iter().flat_map(|(b, n)| vec![*b; usize::from(*n)]).collect();
                Kind::File(bytes.into())
            }
            What::Sparse(pieces) => {
                let (mut at, mut all) = (0, Vec::new());
                for (gap, len) in pieces {
                    at += u64::from(*gap);
                    all.push((at, Content::from(vec![*len; usize::from(*len)])));
                    at += u64::from(*len);
                }
                Kind::File(Content::Sparse { len: at + 9, pieces: Arc::from(all) })
            }
            What::Link(target) => Kind::Symlink(target.clone()),
            What::Again if files.is_empty() => continue,
            What::Again => {
                let existing: &TreePath = &files[index % files.len()];
                tree.link(existing, &path).unwrap();
                continue;
            }
            What::Device(major, minor) => Kind::Char((*major).into(), *minor),
            What::Fifo => Kind::Fifo,
        };
        if !matches!(kind, Kind::Dir) {
            files.push(path.clone());
        }
        let id = if matches!(kind, Kind::Dir) { tree.mkdir(&path, 0) } else { tree.write(&path, 0, "") };
        id.unwrap();
        // One of the readers cannot walk folders with other times.
        let time = if matches!(kind, Kind::Dir) { time & 0x7FFF_FFFF } else { *time };
        let inode = tree.get_mut(&path).unwrap();
        (inode.kind, inode.mode, inode.mtime) = (kind, *mode, time);
        (inode.uid, inode.gid) = (u32::from(*mode) * 1000, u32::from(*mode));
        inode.xattrs = attributes.iter().cloned().collect();
    }
    tree
}

/// Number of trees.
fn cases() -> u32 {
    if labimg_testkit::random::long() { 1000 } else { 40 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn random_trees_are_clean_and_come_back(entries in entries()) {
        if labimg_testkit::judges::missing(&["e2fsck"]) {
            return Ok(());
        }
        let tree = build(&entries);
        let image = Image::write(&tree, 0);
        fsck(image.path());
        image.compare(&tree);
    }
}
