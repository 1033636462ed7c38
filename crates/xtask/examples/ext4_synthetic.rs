//! Writes a number of files of one size, 1000 per folder, as an ext4 image, and prints the time and memory it took.
//! Called as `ext4_synthetic FILES BYTES IMAGE`.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Instant;

use labimg_disk::write::Sparse;
use labimg_disk::write::ext4::{Ext4Options, minimum_size, write};
use labimg_tree::{Blob, Content, Tree};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, files, bytes, image] = &args[..] else { return Err("usage: ext4_synthetic FILES BYTES IMAGE".into()) };
    let (files, len): (u64, u64) = (files.parse()?, bytes.parse()?);
    // All files share one source of 64 MiB, so that reading takes no time.
    let source = tempfile::NamedTempFile::new()?;
    let window = len + (64 << 20);
    std::fs::write(source.path(), (0..window).map(|i| (i % 251) as u8 + 1).collect::<Vec<_>>())?;
    let blob = Blob::open(source.path())?;
    let mut tree = Tree::new(1_700_000_000);
    for i in 0..files {
        let content = Content::Range { blob: blob.clone(), offset: (i * 512) % (64 << 20), len };
        tree.write(format!("d{}/s{}/file-{i}", i / 100_000, i / 1000), 0o644, content)?;
    }
    let memory = || -> Result<String, std::io::Error> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        Ok(status.lines().filter(|l| l.starts_with("VmHWM")).collect())
    };
    println!("tree of {} paths, {}", tree.len(), memory()?);
    let mut options = Ext4Options::new(0, [0x42; 16], [0x17; 16], 1_700_000_000);
    let begun = Instant::now();
    options.size = minimum_size(&tree, &options)?;
    options.writeback = true;
    println!("at least {} MiB (counted in {:.3} s)", options.size >> 20, begun.elapsed().as_secs_f64());
    let file = std::fs::File::create(image)?;
    file.set_len(options.size)?;
    let begun = Instant::now();
    write(&tree, &Sparse::new(&file), 0, &options, &labimg_tree::progress::Silent)?;
    file.sync_all()?;
    println!("written and synced in {:.3} s, {}", begun.elapsed().as_secs_f64(), memory()?);
    Ok(())
}
