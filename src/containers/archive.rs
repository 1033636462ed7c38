//! Container images as one file that k3s imports when it starts: a tar of an image layout (OCI Image Format
//! Specification, "Image Layout"). The contents stay in the store; the file system's writer reads them from there.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::Serialize;

use super::Container;
use super::document::{LayoutEntry, LayoutIndex, OciLayout};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;

/// Size of a tar block in bytes (POSIX.1-2017, `pax`, "ustar Interchange Format").
const BLOCK: u64 = 512;

/// The annotation that tells a container runtime an image's name (containerd's `images.AnnotationImageName`).
const NAME: &str = "io.containerd.image.name";

/// The annotation with the name within the repository, for other programs that read layouts.
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// The archive of all these images; shared parts are in it once.
pub(super) fn of(containers: &[Container]) -> io::Result<Content> {
    let entry = |container: &Container| {
        let name = container.name.on_the_node();
        LayoutEntry {
            media_type: container.media_type.clone(),
            digest: format!("sha256:{}", container.sha256),
            size: container.manifest.len(),
            annotations: BTreeMap::from([(REFERENCE, name.clone()), (NAME, name)]),
        }
    };
    let index = LayoutIndex {
        schema_version: 2,
        media_type: "application/vnd.oci.image.index.v1+json",
        manifests: containers.iter().map(entry).collect(),
    };
    let mut blobs: BTreeMap<Sha256, &Content> = BTreeMap::new();
    for container in containers {
        blobs.insert(container.sha256, &container.manifest);
        blobs.extend(container.parts.iter().map(|(sha256, content)| (*sha256, content)));
    }
    let mut tar = Tar::default();
    tar.add("oci-layout", json(&OciLayout { image_layout_version: "1.0.0" })?)?;
    tar.add("index.json", json(&index)?)?;
    for (sha256, content) in blobs {
        tar.add(&format!("blobs/sha256/{sha256}"), content.clone())?;
    }
    Ok(tar.finish())
}

fn json(value: &impl Serialize) -> io::Result<Content> {
    Ok(Content::from(serde_json::to_vec(value)?))
}

/// A tar under construction.
#[derive(Default)]
struct Tar {
    pieces: Vec<(u64, Content)>,
    len: u64,
}

impl Tar {
    /// Adds a file.
    fn add(&mut self, path: &str, content: Content) -> io::Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_path(path)?;
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len());
        header.set_mode(0o444);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.pieces.push((self.len, Content::from(header.as_bytes().as_slice())));
        let at = self.len + BLOCK;
        self.len = at + content.len().next_multiple_of(BLOCK);
        self.pieces.push((at, content));
        Ok(())
    }

    /// Appends the two zero blocks at the end.
    fn finish(self) -> Content {
        Content::Sparse { len: self.len + 2 * BLOCK, pieces: Arc::from(self.pieces) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use labimg_tree::ContentReader;

    fn container(name: &str, layers: &[&str]) -> Container {
        let manifest = format!("manifest of {name}");
        Container {
            name: name.parse().unwrap(),
            media_type: "m".to_owned(),
            sha256: Sha256::of(&manifest),
            manifest: Content::from(manifest),
            parts: layers.iter().map(|layer| (Sha256::of(layer), Content::from(*layer))).collect(),
        }
    }

    #[test]
    fn the_archive_is_a_tar_of_an_image_layout() {
        let long = "y".repeat(1500);
        let images = [container("r.example/a:1", &["shared", &long]), container("r.example/b:2", &["", "shared"])];
        let content = of(&images).unwrap();
        assert_eq!(content.len() % BLOCK, 0);
        let mut archive = tar::Archive::new(ContentReader::new(&content));
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            assert!(files.insert(path, text).is_none());
        }
        for (path, text) in files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
            assert_eq!(*path, format!("blobs/sha256/{}", Sha256::of(text)));
        }
        // Two manifests, three layers, and the layout's own files.
        assert_eq!(files.len(), 7);
        assert_eq!(files["oci-layout"], r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index: serde_json::Value = serde_json::from_str(&files["index.json"]).unwrap();
        let second = &index["manifests"][1];
        assert_eq!(second["digest"], format!("sha256:{}", Sha256::of("manifest of r.example/b:2")));
        assert_eq!((&second["size"], &second["annotations"][NAME]), (&25.into(), &"r.example/b:2".into()));
    }
}
