//! How a long step reports its progress. The caller decides how it is shown (bars, lines, nothing).

use std::fmt::Debug;

/// What a phase counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown with rate and remaining time.
    Bytes,
    /// Things such as packages or files.
    Items,
}

/// Where progress is reported.
pub trait Progress: Debug + Send + Sync {
    /// Starts a step, named by what it does (`Downloading`), of `total` units; 0 when unknown. Dropping the phase ends
    /// the step.
    fn phase(&self, name: &str, total: u64, unit: Unit) -> Box<dyn Phase>;

    /// A line of information.
    fn note(&self, text: &str);

    /// A warning.
    fn warn(&self, text: &str);
}

/// A running step; dropping it ends it.
pub trait Phase: Send + Sync {
    /// Adds `count` finished units; may be called from several threads.
    fn inc(&self, count: u64);
}

/// Reports nothing: for tests and for callers that do not want progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _: &str, _: u64, _: Unit) -> Box<dyn Phase> {
        Box::new(Self)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}

/// Passes on warnings alone: for work beside other work that shows its steps.
#[derive(Debug, Clone, Copy)]
pub struct Warnings<'a>(pub &'a dyn Progress);

impl Progress for Warnings<'_> {
    fn phase(&self, _: &str, _: u64, _: Unit) -> Box<dyn Phase> {
        Box::new(Silent)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
}

impl Phase for Silent {
    fn inc(&self, _: u64) {}
}
