//! Debian's own text formats: control files, versions and package relations (Debian Policy chapters 5 and 7).

pub mod deb822;
pub mod relation;
pub mod version;
