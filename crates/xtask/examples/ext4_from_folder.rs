//! Writes a folder as an ext4 image twice and prints how long it took: to write it, and to write and sync it with
//! writeback. Called as `ext4_from_folder FOLDER IMAGE [SIZE_MIB] [ROUNDS]`. An existing image is replaced.
#![allow(clippy::print_stdout)]

#[path = "../../labimg-disk/tests/ext4/load.rs"]
mod load;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use labimg_disk::write::Sparse;
use labimg_disk::write::ext4::{Ext4Options, Ext4Summary, minimum_size, write};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let (Some(folder), Some(image)) = (args.get(1), args.get(2)) else {
        return Err("usage: ext4_from_folder FOLDER IMAGE [SIZE_MIB] [ROUNDS]".into());
    };
    let pack = format!("{image}.pack");
    let tree = load::load(Path::new(folder), Path::new(&pack))?;
    // Synced, as the files of packages are on the disk. Otherwise the kernel would write them while the image is timed.
    std::fs::File::open(&pack)?.sync_all()?;
    let mut options = Ext4Options::new(0, [0x42; 16], [0x17; 16], 1_700_000_000);
    let begun = Instant::now();
    let least = minimum_size(&tree, &options)?;
    println!("{} paths, at least {} MiB (counted in {:.3} s)", tree.len(), least >> 20, begun.elapsed().as_secs_f64());
    options.size = match args.get(3) {
        Some(mib) => mib.parse::<u64>()? << 20,
        None => least,
    };
    let make = |writeback| -> Result<(f64, f64, Ext4Summary), Box<dyn Error>> {
        // The old image is removed only now: a virtual machine may have to ask its host for memory that was unused for
        // some seconds, which takes longer than the writing.
        let _ = std::fs::remove_file(image);
        let file = std::fs::File::create_new(image)?;
        file.set_len(options.size)?;
        let options = Ext4Options { writeback, ..options.clone() };
        let begun = Instant::now();
        let summary = write(&tree, &Sparse::new(&file), 0, &options, &labimg_tree::progress::Silent)?;
        let written = begun.elapsed().as_secs_f64();
        file.sync_all()?;
        Ok((written, begun.elapsed().as_secs_f64(), summary))
    };
    for _ in 0..args.get(4).map_or(Ok(1), |n| n.parse())? {
        let (written, _, summary) = make(false)?;
        let (_, synced, _) = make(true)?;
        println!("written in {written:.3} s; written and synced in {synced:.3} s: {summary:?}");
    }
    std::fs::remove_file(&pack)?;
    Ok(())
}
