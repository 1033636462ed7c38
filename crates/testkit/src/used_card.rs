//! A card that was in use before an image comes onto it by a program that leaves out the image's holes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::command::succeed;
use crate::random::Random;

const PIECE: usize = 1 << 20;

/// The bytes from `at` to `end` that fit into a piece.
fn count(at: u64, end: u64) -> usize {
    usize::try_from(end - at).unwrap_or(PIECE).min(PIECE)
}

/// Fills `card` with noise, then copies the image's data onto it, without its holes. Returns how many bytes were
/// copied.
pub fn over_noise(image: &File, card: &File) -> u64 {
    let (mut ranges, mut at) = (Vec::new(), 0);
    loop {
        let start = match seek(image, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(e) => panic!("this file system does not tell where holes are: {e}"),
        };
        at = seek(image, SeekFrom::Hole(start)).unwrap();
        ranges.push(start..at);
    }
    copy_over_noise(image, card, ranges)
}

/// Makes the card `card` of noise and of what `bmaptool` says that a flashing tool has to copy of the image; returns it open.
///
/// # Panics
/// When `bmaptool` fails, and when its map has hardly any ranges.
pub fn flashed_by_bmap(image: &Path, card: &Path) -> File {
    let bmap = card.with_extension("bmap");
    succeed(Command::new("bmaptool").args(["create", "-o"]).arg(&bmap).arg(image));
    let text = std::fs::read_to_string(&bmap).unwrap();
    std::fs::remove_file(&bmap).unwrap();
    // `<Range chksum="…"> 0-255 </Range>`: the first and the last block, or one block.
    let range = |line: &str| {
        let blocks = line.trim().strip_prefix("<Range")?.split_once('>')?.1.split('<').next()?.trim();
        let (first, last) = blocks.split_once('-').unwrap_or((blocks, blocks));
        Some(first.parse::<u64>().ok()? * 4096..(last.parse::<u64>().ok()? + 1) * 4096)
    };
    let ranges: Vec<_> = text.lines().filter_map(range).collect();
    assert!(text.contains("<BlockSize> 4096") && ranges.len() > 2, "{text}");
    let on_card = File::options().read(true).write(true).create_new(true).open(card).unwrap();
    copy_over_noise(&File::open(image).unwrap(), &on_card, ranges);
    on_card
}

/// As [`over_noise`], but copies these ranges of bytes.
fn copy_over_noise(image: &File, card: &File, ranges: Vec<Range<u64>>) -> u64 {
    let size = image.metadata().unwrap().len();
    let mut random = Random::new(7);
    let mut piece: Vec<u8> = (0..PIECE).map(|_| u8::try_from(random.below(255) + 1).unwrap()).collect();
    let mut at = 0;
    while at < size {
        // No two pieces are the same.
        piece.rotate_left(4099);
        let count = count(at, size);
        card.write_all_at(&piece[..count], at).unwrap();
        at += count as u64;
    }
    let mut copied = 0;
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let count = count(at, range.end);
            image.read_exact_at(&mut piece[..count], at).unwrap();
            card.write_all_at(&piece[..count], at).unwrap();
            at += count as u64;
        }
        copied += range.end - range.start;
    }
    copied
}
