//! How a long step tells what it does: the caller decides what becomes of it (bars, lines, nothing).

use std::fmt::Debug;

/// What a phase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown with rate and time left.
    Bytes,
    /// Things such as packages or files.
    Items,
}

/// Where progress is told.
pub trait Progress: Debug + Send + Sync {
    /// Starts a step, named by what it does (`Downloading`), of `total` units; 0 when that is not known. Dropping the phase
    /// ends the step.
    fn phase(&self, name: &str, total: u64, unit: Unit) -> Box<dyn Phase>;

    /// A line worth knowing.
    fn note(&self, text: &str);

    /// A line that must be seen.
    fn warn(&self, text: &str);
}

/// A running step; dropping it ends it.
pub trait Phase: Send + Sync {
    /// `count` more units are done; may be called from several threads.
    fn inc(&self, count: u64);
}

/// Says nothing: for tests and for callers who do not want to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _: &str, _: u64, _: Unit) -> Box<dyn Phase> {
        Box::new(Self)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}

impl Phase for Silent {
    fn inc(&self, _: u64) {}
}
