//! A program that ends when labimg does, even when labimg is killed.
//!
//! Only a process itself can ask the system for that, before it becomes the program. So labimg starts itself, with a
//! hidden command that does both.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, getpid, getppid};

use labimg_tree::platform;

/// The hidden command of labimg that calls [`become_tied`].
pub const COMMAND: &str = "tied-program";

/// A command that runs `program` tied to this process, to the thread that starts it.
///
/// # Errors
/// When the path of labimg itself is not known.
pub fn command(program: &OsStr) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).arg(getpid().as_raw_nonzero().to_string()).arg(program);
    Ok(command)
}

/// Becomes a program that ends with the process `parent`. Returns only when that fails.
///
/// # Errors
/// When the parent has ended already, or the program cannot be run.
pub fn become_tied(parent: i32, program: &OsStr, arguments: &[OsString]) -> io::Result<Infallible> {
    platform::end_with_parent()?;
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        return Err(io::Error::other("labimg has ended"));
    }
    Err(Command::new(program).args(arguments).exec())
}
