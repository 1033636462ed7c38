//! What signals do.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use labimg_tree::interrupt;

/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Ctrl-C, SIGTERM and SIGHUP ask the program to stop. A file that grows over a limit (`ulimit -f`) is an error of the
/// write, as on a full disk: without a handler SIGXFSZ would end the program without a word (setrlimit(2)).
///
/// # Errors
/// When the system refuses a handler.
pub(super) fn handle() -> io::Result<()> {
    // A second Ctrl-C ends it at once, whatever it waits for; files that were begun keep their temporary names.
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED, interrupt::flag())?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, interrupt::flag())?;
    }
    flag::register(SIGXFSZ, Arc::default()).map(drop)
}
