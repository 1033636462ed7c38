//! Ctrl-C and SIGTERM: long loops call [`check`] and return an ordinary error, so that every temporary file is removed
//! on the way out.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// The user asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Asks the program to stop; called by the signal handler.
pub fn request() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// True once [`request`] was called.
#[must_use]
pub fn requested() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// An error when the user asked to stop; called in loops.
///
/// # Errors
/// [`Interrupted`], at every call from then on.
pub fn check() -> Result<(), Interrupted> {
    if requested() { Err(Interrupted) } else { Ok(()) }
}

impl From<Interrupted> for std::io::Error {
    fn from(e: Interrupted) -> Self {
        std::io::Error::new(std::io::ErrorKind::Interrupted, e)
    }
}
