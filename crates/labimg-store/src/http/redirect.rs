//! Where a server may send a request on to.

use reqwest::Url;
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::redirect::{Action, Attempt, Policy};

/// Most addresses for one file after the first.
const MOST: usize = 10;

/// Why a request is not sent on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Astray {
    /// To a file of this computer, or by a protocol of another kind.
    #[error("it sends on to {0}, which is not an HTTP address")]
    Scheme(String),
    /// What was asked for with TLS would come without: anybody on the way could answer in the server's place. apt has the
    /// same rule (apt-transport-https(1)).
    #[error("it sends on from https to {0}, where anybody on the way could answer")]
    Open(String),
    /// With what a login goes to, which is not repeated elsewhere.
    #[error("it sends on to {0}, and a login is not sent on")]
    Login(String),
    /// To no address at all.
    #[error("it sends on without saying where to")]
    Nowhere,
    /// Round and round.
    #[error("it sends on more than {MOST} times, at last to {0}")]
    Endless(String),
}

/// The rules for the client.
pub(super) fn policy() -> Policy {
    Policy::custom(follow)
}

fn follow(attempt: Attempt<'_>) -> Action {
    match check(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(astray) => attempt.error(astray),
    }
}

/// Whether a request that was sent on from `previous` may go to `next`.
pub(super) fn check(previous: &[Url], next: &Url) -> Result<(), Astray> {
    let shown = || super::shown(next.as_str());
    match next.scheme() {
        "http" if previous.iter().any(|url| url.scheme() == "https") => Err(Astray::Open(shown())),
        "http" | "https" if previous.len() > MOST => Err(Astray::Endless(shown())),
        "http" | "https" => Ok(()),
        _ => Err(Astray::Scheme(shown())),
    }
}

/// Why an answer that sends on was not followed, although no rule forbade it: the client follows only what it can ask.
pub(super) fn not_followed(headers: &HeaderMap) -> Astray {
    match headers.get(LOCATION) {
        Some(to) => {
            let to = String::from_utf8_lossy(to.as_bytes()).into_owned();
            if to.starts_with("http://") || to.starts_with("https://") {
                Astray::Login(super::shown(&to))
            } else {
                Astray::Scheme(to)
            }
        }
        None => Astray::Nowhere,
    }
}
