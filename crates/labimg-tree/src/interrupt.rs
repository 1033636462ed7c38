//! Ctrl-C and SIGTERM: long loops call [`check`] and return an ordinary error, so that every temporary file is removed
//! on the way out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The user asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// What asks the program to stop, once it is true; set by the signal handler.
#[must_use]
pub fn flag() -> Arc<AtomicBool> {
    INTERRUPTED.clone()
}

/// Asks the program to stop.
pub fn request() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// True once the program was asked to stop.
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
