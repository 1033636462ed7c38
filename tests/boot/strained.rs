//! The kernel of a booted node as the judge of what the ext4 writer made of trees that strain it. scripts/test runs it only where
//! this computer's own kernel cannot be asked (`tests/ext4`), for want of loop devices.

#[path = "../../crates/labimg-disk/tests/ext4/trees.rs"]
mod trees;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use labimg_disk::write::Sparse;
use labimg_disk::write::ext4::{self, Ext4Options};
use labimg_tree::hash::Sha256;
use labimg_tree::{Content, ContentReader, Inode, Kind, Tree};

use crate::node::{Lab, Node};
use labimg_testkit::command::succeed;

/// Larger contents are looked at in places: sums of gigabytes take an emulated processor minutes.
const WHOLE: u64 = 1 << 26;

/// One line a path, as `find` and `sha256sum` say it on the node.
type Listing = BTreeMap<Vec<u8>, Vec<String>>;

fn kind_letter(kind: &Kind) -> char {
    match kind {
        Kind::Dir => 'd',
        Kind::File(_) => 'f',
        Kind::Symlink(_) => 'l',
        Kind::Char(..) => 'c',
        Kind::Block(..) => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    }
}

/// What the tree has, apart from attributes: kind, mode, owners, time, length or target, number of names, SHA-256.
fn expected(tree: &Tree) -> Listing {
    let mut names: HashMap<_, u32> = HashMap::new();
    for (_, id, _) in tree.iter() {
        *names.entry(id).or_default() += 1;
    }
    let line = |id, inode: &Inode| {
        let Inode { mode, uid, gid, mtime, .. } = inode;
        let mut line = vec![kind_letter(&inode.kind).to_string(), format!("{mode:o} {uid} {gid} {mtime}")];
        match &inode.kind {
            // A folder's length and its number of names are ext4's own.
            Kind::Dir => {}
            Kind::File(content) => {
                line.push(format!("{} {}", content.len(), names[&id]));
                if !content.is_empty() && content.len() <= WHOLE {
                    line.push(Sha256::of_reader(ContentReader::new(content)).unwrap().to_string());
                }
            }
            Kind::Symlink(target) => line.push(String::from_utf8_lossy(target).into_owned()),
            Kind::Char(major, minor) | Kind::Block(major, minor) => line.push(format!("{major:x} {minor:x}")),
            Kind::Fifo | Kind::Socket => {}
        }
        line
    };
    tree.iter().map(|(path, id, inode)| (path.as_bytes().to_vec(), line(id, inode))).collect()
}

/// What the node's kernel shows of the mounted file system.
fn found(node: &Node, at: &str) -> Listing {
    let long = Duration::from_secs(900);
    let mut listing = Listing::new();
    let find = format!(r"cd {at} && sudo find . -printf '%P\t%y\t%m\t%U\t%G\t%T@\t%s\t%n\t%l\n'");
    for line in node.bytes_within(&find, long).split(|&b| b == b'\n').filter(|l| !l.is_empty()) {
        let (path, rest) = line.split_at(line.iter().position(|&b| b == b'\t').unwrap());
        let words: Vec<String> = rest[1..].split(|&b| b == b'\t').map(|w| String::from_utf8_lossy(w).into()).collect();
        let [kind, mode, uid, gid, time, len, names, target] = &words[..] else { panic!("{words:?}") };
        let time = time.strip_suffix(".0000000000").unwrap_or_else(|| panic!("{words:?}: no whole second"));
        let mut line = vec![kind.clone(), format!("{mode} {uid} {gid} {time}")];
        match kind.as_str() {
            "f" => line.push(format!("{len} {names}")),
            "l" => line.push(target.clone()),
            _ => {}
        }
        listing.insert(path.to_vec(), line);
    }
    let devices = format!(r"cd {at} && sudo find . \( -type b -o -type c \) -exec stat --format '%t %T %n' {{}} +");
    for line in node.run_within(&devices, long).lines() {
        let (numbers, path) = line.split_once(" ./").unwrap();
        listing.get_mut(path.as_bytes()).unwrap().push(numbers.to_owned());
    }
    let sums = format!(
        "cd {at} && sudo find . -type f -size +0 -size -{}k -print0 | sudo xargs --null --no-run-if-empty sha256sum --zero",
        WHOLE / 1024 + 1
    );
    for line in node.bytes_within(&sums, long).split(|&b| b == 0).filter(|l| !l.is_empty()) {
        let (sum, path) = line.split_at(64);
        let path = path.strip_prefix(b"  ./").unwrap();
        listing.get_mut(path).unwrap().push(String::from_utf8(sum.to_vec()).unwrap());
    }
    listing
}

/// Each path's extended attributes, `name=0xVALUE`. Only plain names have any.
fn attributes(node: &Node, at: &str) -> BTreeMap<String, Vec<String>> {
    let dump =
        format!("cd {at} && sudo getfattr --recursive --physical --no-dereference --dump --match=- --encoding=hex .");
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut path = String::new();
    for line in node.run_within(&dump, Duration::from_secs(900)).lines().filter(|l| !l.is_empty()) {
        match line.strip_prefix("# file: ") {
            Some(name) => name.clone_into(&mut path),
            None => all.entry(path.clone()).or_default().push(line.to_owned()),
        }
    }
    for lines in all.values_mut() {
        lines.sort();
    }
    all
}

fn expected_attributes(tree: &Tree) -> BTreeMap<String, Vec<String>> {
    let hex = |value: &[u8]| value.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let line = |(name, value): (&String, &Vec<u8>)| format!("{name}=0x{}", hex(value));
    let with = tree.iter().filter(|(_, _, inode)| !inode.xattrs.is_empty());
    let lines = |inode: &Inode| {
        let mut lines: Vec<String> = inode.xattrs.iter().map(line).collect();
        lines.sort();
        lines
    };
    with.map(|(path, _, inode)| (String::from_utf8_lossy(path.as_bytes()).into_owned(), lines(inode))).collect()
}

/// Large files: a mebibyte at the front, around each piece of data, and at the end.
fn check_large(node: &Node, at: &str, tree: &Tree) {
    let mut seen = 0;
    for (path, _, inode) in tree.iter() {
        let Kind::File(content @ Content::Sparse { len, pieces }) = &inode.kind else { continue };
        if *len <= WHOLE {
            continue;
        }
        seen += 1;
        for (piece, _) in pieces.iter() {
            let from = piece.saturating_sub(1 << 19);
            let mut bytes = vec![0; (len - from).min(1 << 20) as usize];
            content.read_exact_at(&mut bytes, from).unwrap();
            let sum = Sha256::of_reader(bytes.as_slice()).unwrap().to_string();
            let there = node.run(&format!(
                "sudo dd if={at}{path} bs=64K iflag=skip_bytes,count_bytes skip={from} count={} status=none | sha256sum",
                bytes.len()
            ));
            assert_eq!(there.split(' ').next(), Some(sum.as_str()), "{path} from {from}");
        }
    }
    assert!(seen <= 1, "{seen} large files: this takes long");
}

/// The node's kernel sees the tree as it was written.
fn check_mounted(node: &Node, at: &str, tree: &Tree) {
    let (wanted, mut there) = (expected(tree), found(node, at));
    if !tree.contains("lost+found") {
        there.remove(b"lost+found".as_slice());
    }
    assert_eq!(wanted.len(), there.len(), "{at}: another number of paths");
    for (path, line) in &wanted {
        assert_eq!(Some(line), there.get(path), "{at}: {}", String::from_utf8_lossy(path));
    }
    assert_eq!(expected_attributes(tree), attributes(node, at), "{at}: extended attributes");
    check_large(node, at, tree);
    println!("{at}: {} paths are as written", wanted.len());
}

/// One that is easily told from others.
fn uuid(number: usize) -> [u8; 16] {
    [0x40 + number as u8; 16]
}

fn write(tree: &Tree, uuid: [u8; 16], to: &Path) {
    let mut options = Ext4Options::new(0, uuid, [0x17; 16], 1_700_000_000);
    // Room to write into.
    options.size = ext4::minimum_size(tree, &options).unwrap() + (64 << 20);
    let file = std::fs::File::create(to).unwrap();
    file.set_len(options.size).unwrap();
    ext4::write(tree, &Sparse::new(&file), 0, &options, &labimg_tree::progress::Silent).unwrap();
}

#[test]
fn strained_file_systems_are_mounted_and_written_to() {
    let lab = Lab::with_packages("virt", "worker", &["attr"]);
    assert_eq!(lab.pending(), [""; 0]);
    let folder = tempfile::tempdir().unwrap();
    let trees = [("adversarial", trees::adversarial()), ("many", trees::many_files())];
    let mut arguments = Vec::new();
    for (i, (name, tree)) in trees.iter().enumerate() {
        let image = folder.path().join(name);
        write(tree, uuid(i), &image);
        arguments.extend(["--usb".to_owned(), image.to_str().unwrap().to_owned()]);
    }
    let mut node = lab.boot(&arguments, Duration::from_secs(1200));
    for (i, (name, tree)) in trees.iter().enumerate() {
        let at = format!("/mnt/{name}/");
        let digits = format!("{:02x}", uuid(i)[0]);
        let uuid = [4, 2, 2, 2, 6].map(|bytes| digits.repeat(bytes)).join("-");
        node.run(&format!("sudo mkdir -p {at} && sudo mount -t ext4 /dev/disk/by-uuid/{uuid} {at}"));
        check_mounted(&node, &at, tree);
    }
    println!("taking away and adding");
    node.run_within(
        "cd /mnt/adversarial && sudo sh -euc 'rm -r extents xattrs names; rm hard/1*; mkdir -p new/folder; \
             for i in $(seq 500); do head -c $i /dev/zero > new/$i; done; echo short > sparse-8g' && \
         cd ../many && sudo sh -euc 'cd many; rm file-number-2*; touch $(seq 500); mkdir new' && \
         cd / && sudo umount /mnt/adversarial /mnt/many",
        Duration::from_secs(900),
    );
    let said = node.run("sudo dmesg --level err,warn");
    assert!(!said.contains("EXT4-fs"), "the kernel complains: {said}");
    node.power_off(Duration::from_secs(180));
    for (name, _) in &trees {
        succeed(std::process::Command::new("e2fsck").arg("-fn").arg(folder.path().join(name)));
    }
}
