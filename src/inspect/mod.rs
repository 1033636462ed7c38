//! What is in an image: packages, users, services, and where each file comes from.

pub mod diff;
pub mod export;
mod files;
pub mod ports;
mod render;
pub mod report;
pub mod sbom;
pub mod system;
pub mod why;

use std::path::Path;

use labimg_disk::read::ext4::Ext4Volume;
use labimg_disk::read::{InspectError, Region, Volume, table};

pub use render::{printable, render, render_why};
pub use report::{ImageReport, open};

/// The first file system with a Linux system in it.
fn root(image: &Path) -> Result<Ext4Volume, InspectError> {
    let whole = Region::whole(image)?;
    let mut others = Vec::new();
    for partition in table::read(&whole)?.partitions {
        match whole.part(partition.start, partition.len).and_then(Volume::in_region) {
            Ok(Volume::Ext4(root)) if system::is_system(&root)? => return Ok(*root),
            Err(InspectError::Unknown { kind: Some(kind), .. }) => others.push((partition.number, kind)),
            Ok(_) | Err(InspectError::Unknown { kind: None, .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Err(InspectError::NoSystem { path: image.to_owned(), others })
}

#[cfg(test)]
mod tests;
