//! What an error says beyond its message: who has to act, and what helps.

use std::error::Error;
use std::fmt;
use std::io;

use crate::interrupt::Interrupted;

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The command line asks for something impossible.
    Usage,
    /// A file of the user is wrong: `lab.toml` or a file beside it, a lock, a key.
    Configuration,
    /// The outside world: network, mirror, disk, another program.
    World,
    /// A bug in labimg, which should be reported.
    Ours,
    /// The user asked to stop.
    Interrupted,
}

impl FaultKind {
    /// The exit code of the program.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Configuration => 2,
            Self::World | Self::Ours => 1,
            Self::Interrupted => 130,
        }
    }
}

/// An error as shown to the user: a message (`Display`) that says what failed and where, without cause or advice; a
/// cause (`source`); help; and who has to act.
pub trait Fault: Error {
    /// Who has to act. Written as a `match` over all variants, so that a new one without a kind does not compile.
    fn kind(&self) -> FaultKind;

    /// What to do, as a sentence without capital and full stop.
    fn help(&self) -> Option<String> {
        None
    }
}

impl Fault for Interrupted {
    fn kind(&self) -> FaultKind {
        FaultKind::Interrupted
    }
}

/// Errors of the system belong to the outside world, except for a loop that was interrupted.
impl Fault for io::Error {
    fn kind(&self) -> FaultKind {
        let interrupted = self
            .get_ref()
            .is_some_and(<dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<Interrupted>);
        if interrupted { FaultKind::Interrupted } else { FaultKind::World }
    }

    fn help(&self) -> Option<String> {
        // A limit of the process (RLIMIT_FSIZE), or of the file system: 4 GiB on FAT.
        (self.kind() == io::ErrorKind::FileTooLarge).then(|| {
            "`ulimit -f` shows the largest file that this shell allows; if it says `unlimited`, the file system holds no \
             larger files, and another folder is needed"
                .to_owned()
        })
    }
}

/// A cause of which only the message is known, such as that of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause(String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Cause {}

impl<T: Into<String>> From<T> for Cause {
    fn from(words: T) -> Self {
        Self(words.into())
    }
}

/// The causes of an error, outermost first. A cause that only repeats the end of the message before it is left out:
/// some libraries put the cause into the message too.
#[must_use]
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes = Vec::new();
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !last.ends_with(&text) {
            causes.push(text.clone());
        }
        last = text;
        next = cause.source();
    }
    causes
}

/// An error with its causes as one text, for a warning or a list: `the mirror cannot be asked: no route to host`.
#[must_use]
pub fn whole(error: &dyn Error) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn a_text_with_all_causes_and_none_twice() {
        let inner = || io::Error::other(Outer { text: "inside", source: io::Error::other("the disk") });
        let error = Outer { text: "outside", source: inner() };
        assert_eq!(causes(&error), ["inside", "the disk"]);
        assert_eq!(whole(&error), "outside: inside: the disk");
        let error = Outer { text: "outside: inside", source: inner() };
        assert_eq!(whole(&error), "outside: inside: the disk");
        assert_eq!(whole(&Cause::from("alone")), "alone");
    }

    #[test]
    fn an_interrupt_stays_one_as_an_error_of_the_system() {
        assert_eq!(Fault::kind(&io::Error::from(Interrupted)), FaultKind::Interrupted);
        assert_eq!(Fault::kind(&io::Error::from(io::ErrorKind::Interrupted)), FaultKind::World);
        assert_eq!(Interrupted.kind().exit_code(), 130);
    }
}
