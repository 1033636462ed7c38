//! Writes an image with a FAT and an ext4 partition and reads it back: `cargo run -p labimg-disk --example image -- OUT.img`.

#![allow(clippy::print_stdout, reason = "an example shows what it made")]

use std::path::Path;

use labimg_disk::read::open_partition;
use labimg_disk::write::ext4::Ext4Options;
use labimg_disk::write::table::PartitionTable;
use labimg_disk::write::{FileSystem, ImageSpec, PartitionSpec, write};
use labimg_tree::Tree;
use labimg_tree::progress::Silent;
use uuid::Uuid;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = std::env::args().nth(1).ok_or("usage: image OUT.img")?;
    let mut boot = Tree::new(0);
    boot.write("config.txt", 0o644, "arm_64bit=1\n")?;
    let mut root = Tree::new(0);
    root.write("etc/hostname", 0o644, "pi\n")?;
    let partition = |name: &str, mib: u64, guid, files| PartitionSpec {
        name: name.to_owned(),
        size: mib << 20,
        guid: Uuid::from_u128(guid),
        files,
    };
    let fat = FileSystem::Fat { tree: &boot, label: "BOOT".to_owned(), volume_id: 7 };
    let ext4 = FileSystem::Ext4 { tree: &root, options: Ext4Options::new(0, [1; 16], [2; 16], 0) };
    let spec = ImageSpec {
        table: PartitionTable::Mbr { signature: 0x1ab1_ab1a },
        first: 0,
        partitions: vec![partition("boot", 64, 1, fat), partition("root", 128, 2, ext4)],
        private: false,
    };
    let summary = write(&spec, Path::new(&out), &Silent)?;
    let text = open_partition(Path::new(&out), 2)?.read_file("/etc/hostname")?;
    println!("{} bytes, {} on the disk; /etc/hostname: {}", summary.layout.size, summary.occupied, text.escape_ascii());
    Ok(())
}
