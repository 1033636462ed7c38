//! Disk images as files: [`write`](mod@write) makes them from a [`Tree`](labimg_tree::Tree), [`read`](mod@read) reads any image.
//!
//! Nothing is mounted and no other program is run: ext4, FAT32, MBR and GPT are written and read here.

mod format;
mod ranges;
pub mod read;
pub mod write;
