//! A node's seed, unpacked.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;

/// The texts of a packed seed's members by their paths; those of folders and links are empty.
pub fn seed_files(packed: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(GzDecoder::new(packed));
    let members = archive.entries().unwrap().map(|member| {
        let mut member = member.unwrap();
        let mut text = String::new();
        member.read_to_string(&mut text).unwrap();
        (member.path().unwrap().display().to_string(), text)
    });
    members.collect()
}
