//! Packages: unpacked into the tree as dpkg would, and dpkg's own database of them.

mod package;

pub use package::{Conffile, Installed, Package, State, Triggers};
