//! The record of an image, as JSON: written beside the image and into the node's tree.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::k3s::K3sRecord;
use crate::wording::{self, Mistake};
use labimg_disk::write::ImageError;
use labimg_disk::write::table::{Layout, PartitionKind};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::files::{BadPlace, NewFile};
use labimg_tree::hash::Sha256;
use labimg_tree::{Kind, Tree};

/// Its path on the node.
pub const NODE_PATH: &str = "/usr/share/labimg/manifest.json";
/// Version of the format. A change that old readers would misread increases it.
pub const FORMAT: u32 = 1;

/// The parts of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The format, see [`FORMAT`].
    pub format: u32,
    /// The version of labimg that made it.
    pub labimg: String,
    /// The board's name, such as `rpi4`.
    pub board: String,
    /// The node's role, such as `worker`.
    pub role: String,
    /// Debian's code name.
    pub suite: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// The time of the package lists that it was made from, RFC 3339 in UTC.
    pub date: String,
    /// The partitions in disk order.
    pub partitions: Vec<RecordPartition>,
    /// The packages by name.
    pub packages: Vec<RecordPackage>,
    /// Package that board, role or user asked for → why; without dependencies.
    #[serde(default)]
    pub why: BTreeMap<String, String>,
    /// The files of each layer, in order.
    pub layers: Vec<RecordLayer>,
    /// The node's k3s; `None` when its role has none.
    #[serde(default)]
    pub k3s: Option<K3sRecord>,
    /// Container images on the card.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<RecordContainer>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPartition {
    /// Its number: `2` for `/dev/mmcblk0p2`.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// `fat32` or `ext4`.
    pub file_system: String,
    /// First byte in the image.
    pub start: u64,
    /// Size in bytes.
    pub size: u64,
    /// Linux's name for it (PARTUUID).
    pub partuuid: String,
}

/// A container image, or the archive of those of k3s itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordContainer {
    /// Its full name, or [`RecordContainer::OF_K3S`].
    pub name: String,
    /// Tag or digest of an image.
    pub version: String,
    /// Size in bytes: layers, configuration and manifest, or the archive.
    pub size: u64,
    /// Hash of the image's manifest, or of the archive.
    pub sha256: Sha256,
}

impl RecordContainer {
    /// Name for the archive of k3s's own images.
    pub const OF_K3S: &str = "k3s-airgap-images";
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// dpkg's word for its state: `installed`, or `unpacked` for what the node configures itself.
    pub state: String,
    /// SHA-256 of the `.deb`.
    #[serde(default)]
    pub sha256: Option<Sha256>,
}

/// A layer of the node's tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLayer {
    /// Its name, such as `overlay common`.
    pub name: String,
    /// Number of its files, folders and links.
    pub entries: u64,
    /// Size of its files in bytes.
    pub bytes: u64,
    /// Its paths; empty for packages, whose files are in dpkg's lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the JSON of a record.
    #[error("it is not what labimg records of an image: {0}")]
    Json(Mistake),
    /// Made by a newer labimg.
    #[error("it has format {0}, and this labimg reads formats up to {FORMAT}")]
    Format(u32),
}

impl Fault for RecordError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Json(_) | Self::Format(_) => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Json(mistake) => mistake.help.clone(),
            Self::Format(_) => Some("use a newer labimg".to_owned()),
        }
    }
}

impl ImageRecord {
    /// Parses a record.
    ///
    /// # Errors
    /// Text that is not a record, or one of a newer format.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let wrong = |e: serde_json::Error| RecordError::Json(wording::json(&e));
        match serde_json::from_str::<Head>(text).map_err(wrong)?.format {
            1..=FORMAT => serde_json::from_str(text).map_err(wrong),
            format => Err(RecordError::Format(format)),
        }
    }

    /// As indented JSON with a newline at the end; the same record gives the same text.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists of them can always be written as JSON.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Writes it beside an image under a temporary name. [`Beside::put`] makes it `node.img.json` (for `node.img`)
    /// once the image is in place. Dropped before that, it is removed.
    ///
    /// # Errors
    /// When the file cannot be written, or a folder is in its place.
    pub fn prepare_beside(&self, image: &Path) -> Result<Beside, ImageError> {
        let mut name = image.file_name().unwrap_or_default().to_owned();
        name.push(".json");
        let path = image.with_file_name(name);
        if path.is_dir() {
            let (why, help) = ("a folder stands where the image's manifest goes", "remove it, or choose another name");
            return Err(BadPlace { path, why, help, source: None }.into());
        }
        let made = NewFile::beside(&path, 0o666).and_then(|new| {
            new.file().write_all(self.to_json().as_bytes())?;
            Ok(new)
        });
        match made {
            Ok(new) => Ok(Beside(new)),
            Err(source) => Err(ImageError::Output { path, what: "cannot be written", source }),
        }
    }
}

/// A record that waits for its image.
#[derive(Debug)]
pub struct Beside(NewFile);

impl Beside {
    /// Puts it in place, and returns its path.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn put(self) -> Result<PathBuf, ImageError> {
        let path = self.0.path().to_owned();
        match self.0.put() {
            Ok(()) => Ok(path),
            Err(source) => Err(ImageError::Output { path, what: "cannot be put in place", source }),
        }
    }
}

/// The partitions of a layout as entries of a record.
#[must_use]
pub fn partitions(layout: &Layout) -> Vec<RecordPartition> {
    let all = layout.partitions.iter().zip(1..);
    all.map(|(partition, number)| RecordPartition {
        number,
        name: partition.name.clone(),
        file_system: match partition.kind {
            PartitionKind::Boot => "fat32",
            PartitionKind::Linux => "ext4",
        }
        .to_owned(),
        start: partition.start,
        size: partition.len,
        partuuid: layout.partuuid(number).unwrap_or_default(),
    })
    .collect()
}

/// The files of each layer of a tree; layers without remaining files are left out.
#[must_use]
pub fn layers(tree: &Tree) -> Vec<RecordLayer> {
    let mut layers = BTreeMap::new();
    let mut seen = HashSet::new();
    for (path, id, inode) in tree.iter() {
        let layer = layers.entry(inode.layer).or_insert_with(|| RecordLayer {
            name: tree.layer_name(inode.layer).to_owned(),
            entries: 0,
            bytes: 0,
            paths: Vec::new(),
        });
        layer.entries += 1;
        if let Kind::File(content) = &inode.kind
            && seen.insert(id)
        {
            layer.bytes += content.len();
        }
        if !layer.name.starts_with("package ") {
            layer.paths.push(path.to_string());
        }
    }
    layers.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;

    fn sample() -> ImageRecord {
        ImageRecord {
            format: FORMAT,
            labimg: "0.1.0".to_owned(),
            board: "rpi4".to_owned(),
            role: "worker".to_owned(),
            suite: "trixie".to_owned(),
            architecture: "arm64".to_owned(),
            date: "2026-11-01T00:00:00Z".to_owned(),
            partitions: Vec::new(),
            packages: Vec::new(),
            why: BTreeMap::new(),
            layers: Vec::new(),
            k3s: None,
            containers: Vec::new(),
        }
    }

    #[test]
    fn text_and_back() {
        assert_eq!(ImageRecord::from_json(&sample().to_json()).unwrap(), sample());
        assert!(matches!(ImageRecord::from_json("{"), Err(RecordError::Json(_))));
        let newer = r#"{"format": 2, "other": "form"}"#;
        assert!(one_line(&ImageRecord::from_json(newer).unwrap_err()).contains("newer"));
        let cut = ImageRecord::from_json("{\n\"format\": 1,").unwrap_err();
        assert_eq!(
            one_line(&cut),
            "it is not what labimg records of an image: line 2: it ends too early (the file is not whole)"
        );
    }

    #[test]
    fn it_lies_beside_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let path = sample().prepare_beside(&dir.path().join("node.img")).unwrap().put().unwrap();
        assert_eq!(path, dir.path().join("node.img.json"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), sample().to_json());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(sample().prepare_beside(&dir.path().join("no/node.img")).is_err());
    }

    #[test]
    fn layers_are_counted() {
        let mut tree = Tree::new(0);
        tree.begin_layer("overlay common");
        tree.write("etc/motd", 0o644, "hello").unwrap();
        let told: Vec<_> = layers(&tree).into_iter().map(|l| (l.name, l.entries, l.bytes)).collect();
        assert_eq!(told, [("base".to_owned(), 1, 0), ("overlay common".to_owned(), 2, 5)]);
        assert_eq!(layers(&tree)[1].paths, ["/etc", "/etc/motd"]);
    }
}
