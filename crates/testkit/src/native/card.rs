//! The card of a machine: a copy of an image's root partition, and the firmware partition as a folder, since some hosts
//! cannot mount FAT.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{SeekFrom, seek};

use super::Network;
use crate::command::succeed;

/// The image's network files. Each asks for a real wired interface, but a container has a virtual one, so they are
/// adapted.
const NETWORKS: [&str; 2] = ["10-labimg", "20-wired"];

/// A flashed card. It is removed with the network.
pub struct Card {
    pub(super) name: String,
    folder: PathBuf,
}

impl Card {
    /// Flashes an image.
    pub fn flash(network: &Network, image: &Path) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // A network interface is named after it, and such names have at most 15 bytes.
        let name = format!("n{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = network.folder().join(&name);
        for below in ["tree", "firmware", "networkd"] {
            std::fs::create_dir_all(folder.join(below)).unwrap();
        }
        for network in NETWORKS {
            let folder = folder.join(format!("networkd/{network}.network.d"));
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("container.conf"), "[Match]\nKind=\nName=host0\n").unwrap();
        }
        let card = Self { name, folder };
        card.flash_again(image);
        card
    }

    /// Flashes another image over it: nothing of the old content is left.
    pub fn flash_again(&self, image: &Path) {
        let partitions = partitions(image);
        let (firmware, _) = partitions[0];
        copy(image, *partitions.last().unwrap(), &self.root());
        std::fs::remove_dir_all(self.firmware()).unwrap();
        std::fs::create_dir(self.firmware()).unwrap();
        let fat = format!("{}@@{firmware}", image.display());
        succeed(Command::new("mcopy").args(["-s", "-i", &fat, "::/*"]).arg(self.firmware()));
    }

    /// The root partition.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.img")
    }

    /// The firmware partition, as a folder.
    pub fn firmware(&self) -> PathBuf {
        self.folder.join("firmware")
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    pub(super) fn networkd(&self) -> PathBuf {
        self.folder.join("networkd")
    }

    /// The names of the files on the firmware partition.
    pub fn firmware_files(&self) -> Vec<String> {
        let entries = self.firmware().read_dir().unwrap();
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// A text file of the firmware partition; empty when it is missing.
    pub fn firmware_text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.firmware().join(name)).unwrap_or_default()).into_owned()
    }

    /// Writes a file of the firmware partition, as a user does with the card in another computer.
    pub fn write_firmware(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.firmware().join(name), content).unwrap();
    }

    /// Unpacks the seed that waits on the card, lets `change` change it, and packs it again.
    pub fn change_seed(&self, change: impl FnOnce(&Path)) {
        let (seed, folder) = (self.firmware().join("labimg-seed.tgz"), tempfile::tempdir().unwrap());
        succeed(Command::new("tar").args(["--numeric-owner", "-xpzf"]).arg(&seed).arg("-C").arg(folder.path()));
        change(folder.path());
        succeed(Command::new("tar").args(["--numeric-owner", "-czf"]).arg(&seed).arg("-C").arg(folder.path()).arg("."));
    }

    /// Checks that e2fsck finds no errors in the root partition.
    pub fn check(&self) {
        succeed(Command::new("e2fsck").arg("-fn").arg(self.root()));
    }

    /// After a power cut: replays the journal, as a mount does; then e2fsck must find no errors.
    pub fn check_after_cut(&self) {
        let journal = Command::new("e2fsck").args(["-E", "journal_only", "-y"]).arg(self.root()).output().unwrap();
        // e2fsck(8): exit code 1 means that it has written.
        let said = String::from_utf8_lossy(&journal.stdout);
        assert!(matches!(journal.status.code(), Some(0 | 1)), "e2fsck: {}\n{said}", journal.status);
        self.check();
    }
}

/// Copies a part of a disk into a file, without its holes.
fn copy(disk: &Path, (offset, size): (u64, u64), to: &Path) {
    let from = File::open(disk).unwrap();
    let to = File::create(to).unwrap();
    to.set_len(size).unwrap();
    let mut at = offset;
    // Without further data this is an error, which ends the loop.
    while let Ok(data) = seek(&from, SeekFrom::Data(at)) {
        let end = seek(&from, SeekFrom::Hole(data)).unwrap().min(offset + size);
        if data >= end {
            break;
        }
        seek(&from, SeekFrom::Start(data)).unwrap();
        seek(&to, SeekFrom::Start(data - offset)).unwrap();
        std::io::copy(&mut (&from).take(end - data), &mut &to).unwrap();
        at = end;
    }
}

/// Start and size of an image's partitions, in bytes.
fn partitions(image: &Path) -> Vec<(u64, u64)> {
    let table = succeed(Command::new("sfdisk").arg("--json").arg(image));
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    let sectors = |value: &serde_json::Value| value.as_u64().unwrap() * 512;
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    partitions.iter().map(|p| (sectors(&p["start"]), sectors(&p["size"]))).collect()
}
