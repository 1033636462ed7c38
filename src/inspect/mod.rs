//! Reads any image back without mounting it: partition table, FAT and ext4, packages, users, services.

mod error;
pub mod fat;
mod region;

pub use error::InspectError;
pub use region::Region;
