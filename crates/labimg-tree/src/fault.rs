//! What an error says beyond its message: whose it is, and what helps.

use std::error::Error;

/// Whose an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// What was asked for on the command line cannot be.
    Usage,
    /// A file of the user's is wrong: `lab.toml`, what lies beside it, a lock, a key.
    Configuration,
    /// The outside world: network, mirror, disk, another program.
    World,
    /// A mistake of labimg itself, which should be reported.
    Ours,
    /// The user asked to stop.
    Interrupted,
}

impl FaultKind {
    /// What the program ends with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Configuration => 2,
            Self::World | Self::Ours => 1,
            Self::Interrupted => 130,
        }
    }
}

/// An error as the user gets it: a message (`Display`) that says what failed and where, without cause and advice; a cause
/// (`source`); help; and whose it is.
pub trait Fault: Error {
    /// Whose it is. Written as a `match` over all variants, so that a new one without a kind does not compile.
    fn kind(&self) -> FaultKind;

    /// What to do, as a sentence without a capital and a full stop.
    fn help(&self) -> Option<String> {
        None
    }
}
