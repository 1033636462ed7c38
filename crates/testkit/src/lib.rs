//! Shared code of labimg's tests. Everything here drives the program from outside; nothing uses its library.

pub mod chart;
pub mod checks;
pub mod command;
pub mod disks;
mod folder;
pub mod http_server;
mod isolated;
pub mod judges;
pub mod machine;
pub mod native;
pub mod random;
mod seed;
mod skipped;
pub mod used_card;
pub mod words;

pub use folder::folder;
pub use isolated::is_isolated;
pub use seed::seed_files;
pub use skipped::skipped;
