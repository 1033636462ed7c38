//! What an error says beyond its message: whose it is, and what helps.

use std::error::Error;
use std::fmt;
use std::io;

use crate::interrupt::Interrupted;

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

impl Fault for Interrupted {
    fn kind(&self) -> FaultKind {
        FaultKind::Interrupted
    }
}

/// What the system says is the world's, unless a loop that was interrupted gave up by it.
impl Fault for io::Error {
    fn kind(&self) -> FaultKind {
        let interrupted = self
            .get_ref()
            .is_some_and(<dyn std::error::Error + std::marker::Send + std::marker::Sync + 'static>::is::<Interrupted>);
        if interrupted { FaultKind::Interrupted } else { FaultKind::World }
    }
}

/// A cause of which only the words are known: those of a library, without its type.
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

/// The causes of an error, outermost first. One that only repeats how the message before it ends is left out: some libraries
/// have the cause in the message as well.
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
