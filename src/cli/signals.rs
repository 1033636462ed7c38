//! What signals do.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use labimg_tree::interrupt;

/// Ctrl-C, SIGTERM and SIGHUP ask the program to stop. A file that grows over a limit (`ulimit -f`) is an error of the
/// write, as on a full disk: without a handler SIGXFSZ would end the program without a word (setrlimit(2)).
///
/// # Errors
/// When the system refuses a handler.
pub(super) fn handle() -> io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, interrupt::flag())?;
    }
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}
