//! Trees to write.

use std::sync::Arc;

use labimg_tree::{Content, Kind, Tree, TreePath};

fn path(text: impl AsRef<[u8]>) -> TreePath {
    TreePath::new(text).unwrap()
}

/// The id of an ACL entry without one.
const NO_ID: u32 = u32::MAX;

/// Bytes that are not zero and differ from block to block.
fn noise(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| ((i / 7 + i / 4096 + seed) % 251) as u8 + 1).collect()
}

fn set_xattr(tree: &mut Tree, at: &str, name: &str, value: &[u8]) {
    tree.get_mut(at).unwrap().xattrs.insert(name.to_owned(), value.to_vec());
}

/// One file of each kind.
pub fn small() -> Tree {
    let mut tree = Tree::new(1_650_000_000);
    tree.write("etc/hostname", 0o644, "lab\n").unwrap();
    tree.write("usr/bin/tool", 0o4755, noise(100_000, 3)).unwrap();
    tree.link(&path("usr/bin/tool"), &path("usr/bin/again")).unwrap();
    tree.symlink("bin", "usr/bin").unwrap();
    tree.mkdir("tmp", 0o1777).unwrap();
    for (name, kind) in [
        ("dev/console", Kind::Char(5, 1)),
        ("dev/mmcblk0", Kind::Block(179, 0)),
        ("dev/large", Kind::Block(4095, 1_048_575)),
        ("dev/fifo", Kind::Fifo),
        ("dev/socket", Kind::Socket),
    ] {
        tree.write(name, 0o600, "").unwrap();
        tree.get_mut(name).unwrap().kind = kind;
    }
    set_xattr(
        &mut tree,
        "usr/bin/tool",
        "security.capability",
        &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    tree
}

/// Hard cases for a writer: sizes, names, times, attributes and holes at the limits.
pub fn adversarial() -> Tree {
    let mut tree = small();
    tree.write("names/".to_owned() + &"n".repeat(255), 0o644, "longest").unwrap();
    for i in 0..200 {
        tree.write(format!("names/{}{i:03}", "é".repeat(126)), 0o644, "").unwrap();
        tree.symlink(
            b"names/not-utf8-\xff\xfe".iter().copied().chain(i.to_string().into_bytes()).collect::<Vec<_>>(),
            "x",
        )
        .unwrap();
    }
    for len in [1, 59, 60, 61, 4094, 4095] {
        tree.symlink(format!("links/{len}"), &"target/".repeat(len)[..len]).unwrap();
    }
    tree.write("hard/first", 0o644, "many names").unwrap();
    for i in 1..60_000 {
        tree.link(&path("hard/first"), &path(format!("hard/{i}"))).unwrap();
    }
    for (i, time) in
        [-2_147_483_648, -1, 0, 2_147_483_647, 2_147_483_648, 4_294_967_296, 15_032_385_535].into_iter().enumerate()
    {
        let name = format!("times/{i}");
        tree.write(&name, 0o644, "").unwrap();
        tree.get_mut(&name).unwrap().mtime = time;
    }
    tree.write("owners/large", 0o7777, "").unwrap();
    let inode = tree.get_mut("owners/large").unwrap();
    (inode.uid, inode.gid) = (4_000_000_000, 70_000);

    // Attributes: in the inode, in both, in a block filled to the last byte, and ACLs.
    for (name, attributes) in [
        ("inode", vec![("user.a", 1), ("user.empty", 0), ("trusted.b", 20)]),
        ("both", vec![("user.a", 30), ("user.long", 2000), ("user.b", 31), ("security.c", 5)]),
        ("full", vec![("user.full", 4096 - 32 - 4 - 20)]),
        ("many", vec![("user.m1", 200), ("user.m22", 200), ("user.m333", 200), ("trusted.m", 300), ("user.m0", 7)]),
    ] {
        let file = format!("xattrs/{name}");
        tree.write(&file, 0o644, name).unwrap();
        for (attribute, len) in attributes {
            set_xattr(&mut tree, &file, attribute, &noise(len, len));
        }
    }
    let acl = |entries: &[(u16, u16, u32)]| -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, perm, id) in entries {
            bytes.extend([tag.to_le_bytes(), perm.to_le_bytes()].concat());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    };
    tree.mkdir("acl", 0o770).unwrap();
    let entries = [(1, 7, NO_ID), (2, 6, 1000), (4, 5, NO_ID), (8, 4, 2000), (0x10, 7, NO_ID), (0x20, 0, NO_ID)];
    set_xattr(&mut tree, "acl", "system.posix_acl_access", &acl(&entries));
    set_xattr(&mut tree, "acl", "system.posix_acl_default", &acl(&entries));

    // Sizes around block borders, and zeros in every position.
    for len in [0, 1, 4095, 4096, 4097, 8192, 2 << 20, (2 << 20) + 1, 5_000_001] {
        tree.write(format!("sizes/{len}"), 0o644, noise(len, len)).unwrap();
        tree.write(format!("zeros/{len}"), 0o644, vec![0; len]).unwrap();
    }
    // Extents: every other block is a hole, so there is one extent per piece; at the limits of inline, leaf and depth.
    for extents in [1, 4, 5, 340, 341, 1360, 1361, 3000] {
        let pieces: Arc<[_]> =
            (0..extents).map(|i| (i as u64 * 8192 + (i % 4000) as u64, Content::from(noise(1 + i % 96, i)))).collect();
        let len = extents as u64 * 8192 + 17;
        tree.write(format!("extents/sparse-{extents}"), 0o644, Content::Sparse { len, pieces }).unwrap();
        let mut bytes = noise(extents * 8192, extents);
        for hole in bytes.chunks_mut(4096).skip(1).step_by(2) {
            hole.fill(0);
        }
        tree.write(format!("extents/zeros-{extents}"), 0o644, bytes).unwrap();
    }
    let pieces: Arc<[_]> = Arc::from([
        (5, Content::from("at the front")),
        (1 << 32, Content::from(noise(10_000, 1))),
        ((8 << 30) - 3, Content::from("end")),
    ]);
    tree.write("sparse-8g", 0o644, Content::Sparse { len: 8 << 30, pieces }).unwrap();

    let deep = (0..200).map(|i| format!("d{i}")).collect::<Vec<_>>().join("/");
    tree.write(format!("{deep}/file"), 0o644, "deep").unwrap();
    // The byte order of paths differs from the order in folders.
    for name in ["o/x", "o-a/x", "o.b/x", "o/x2", "o"] {
        tree.mkdir(name, 0o755).unwrap();
    }
    tree.mkdir("lost+found", 0o711).unwrap();
    tree.write("lost+found/#12", 0o644, "found").unwrap();
    tree
}

/// Folders with one index level, and with two.
pub fn many_files() -> Tree {
    let mut tree = Tree::new(1_700_000_000);
    for i in 0..400 {
        tree.write(format!("one-block-more/{i:04}"), 0o644, "").unwrap();
    }
    for i in 0..100_000 {
        tree.write(format!("many/file-number-{i}"), 0o644, "").unwrap();
    }
    tree
}

/// Also folders with more subfolders than links can be counted.
#[allow(
    dead_code,
    reason = "the boot tests leave it out: walking so many folders takes an emulated processor ten minutes"
)]
pub fn large_folders() -> Tree {
    let mut tree = many_files();
    for i in 0..65_100 {
        tree.mkdir(format!("folders/{i}"), 0o755).unwrap();
    }
    for i in 0..64_998 {
        tree.mkdir(format!("just/{i}"), 0o755).unwrap();
    }
    tree
}
