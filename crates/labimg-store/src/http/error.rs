//! Why a request failed, derived from the errors of the HTTP library.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::RETRY_AFTER;

use super::login::LoginError;
use super::tls::tls_words;
use super::{Settings, redirect};
use labimg_tree::fault::{Cause, Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not valid.
    #[error("`{url}` is not an HTTP address")]
    BadUrl {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        #[source]
        cause: Cause,
    },
    /// The host's name does not resolve.
    #[error("{url}: the host name does not resolve")]
    NoSuchHost {
        /// The address.
        url: String,
        /// The resolver's message.
        #[source]
        cause: Cause,
    },
    /// The host could not be reached.
    #[error("{url}: cannot connect")]
    Unreachable {
        /// The address.
        url: String,
        /// The system's message.
        #[source]
        cause: Cause,
    },
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error("{url}: no secure connection")]
    Tls {
        /// The address.
        url: String,
        /// The TLS library's message.
        #[source]
        cause: Cause,
    },
    /// No data for too long.
    #[error("{url}: nothing came for {} s", waited.as_secs())]
    Timeout {
        /// The address.
        url: String,
        /// How long we waited.
        waited: Duration,
    },
    /// Some data, but so little that the transfer would not end.
    #[error("{url}: only {came} bytes came in {} s", waited.as_secs())]
    Slow {
        /// The address.
        url: String,
        /// The bytes that came in this time.
        came: u64,
        /// How long we waited.
        waited: Duration,
    },
    /// The server has no such file.
    #[error("{url}: the server has no such file (404)")]
    NotFound {
        /// The address.
        url: String,
    },
    /// Any other answer without the file.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// How long the server asks to wait before the next attempt.
        retry_after: Option<Duration>,
    },
    /// A container registry does not give it to who asks.
    #[error("{url}: the server answered {status} {}", login.as_ref().map_or("to a request without a login".to_owned(), |place| format!("to the login from {place}")))]
    Denied {
        /// The address.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// Where the login is from that it was shown.
        login: Option<String>,
        /// Where logins were looked for.
        places: Vec<String>,
    },
    /// There is a login that cannot be used.
    #[error("{url}: the server asks for a login")]
    Login {
        /// The address.
        url: String,
        /// Why it cannot be used.
        source: Box<LoginError>,
    },
    /// The answer ended too early or was malformed.
    #[error("{url}: the transfer was cut after {received} bytes")]
    Cut {
        /// The address.
        url: String,
        /// Bytes received.
        received: u64,
        /// What ended it.
        #[source]
        cause: Cause,
    },
    /// The server sends on to an address that is not asked.
    #[error("{url}: the server sends astray")]
    Redirect {
        /// The address.
        url: String,
        /// Where to, and why that is not asked.
        #[source]
        cause: Cause,
    },
    /// The file is larger than the caller accepts.
    #[error("{url}: larger than the {limit} bytes that such a file may have")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The client could not be set up.
    #[error("cannot set up the HTTP client")]
    Setup(#[source] Cause),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl HttpError {
    /// True when the same request may succeed a little later: network trouble, "too many requests" and server errors.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoSuchHost { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Slow { .. }
            | Self::Cut { .. } => true,
            Self::Status { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
            Self::BadUrl { .. }
            | Self::Tls { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Login { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Setup(_)
            | Self::Interrupted(_) => false,
        }
    }

    /// True when the host itself did not answer, so that its other files will fail too.
    #[must_use]
    pub fn is_host_down(&self) -> bool {
        matches!(self, Self::NoSuchHost { .. } | Self::Unreachable { .. } | Self::Timeout { .. } | Self::Tls { .. })
    }

    /// How long the server asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }
}

impl Fault for HttpError {
    fn kind(&self) -> FaultKind {
        match self {
            // Addresses from the user are checked earlier; this one was in another server's answer.
            Self::BadUrl { .. }
            | Self::NoSuchHost { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Timeout { .. }
            | Self::Slow { .. }
            | Self::NotFound { .. }
            | Self::Status { .. }
            | Self::Denied { .. }
            | Self::Cut { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Setup(_) => FaultKind::World,
            Self::Login { source, .. } => source.kind(),
            Self::Interrupted(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::BadUrl { .. } => "give an address that begins with http:// or https://",
            Self::NoSuchHost { .. } => "check the name, the network and the DNS server",
            Self::Unreachable { .. } => "check the network, the proxy settings and that the host is up",
            Self::Tls { .. } => "check this computer's clock, or name a file of trusted certificates in SSL_CERT_FILE",
            Self::Timeout { .. } | Self::Slow { .. } | Self::Cut { .. } => "try again, or use another mirror",
            Self::NotFound { .. } => "check the address: a newer file may have replaced this one",
            Self::Status { status, .. } => advice(*status),
            Self::Denied { url, login, places, .. } => return Some(login_help(url, login.is_some(), places)),
            Self::Login { source, .. } => return source.help(),
            Self::Redirect { .. } => "check the address, or use another mirror",
            Self::TooLarge { .. } => "check the address",
            Self::Setup(_) | Self::Interrupted(_) => return None,
        };
        Some(help.to_owned())
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "check the address and, where one is needed, the password in it",
        407 => "put the password of the proxy into http_proxy or https_proxy",
        410 => "check the address: the file is gone for good, a newer one may have replaced it",
        429 | 500.. => "try again later, or use another mirror: the server is busy or broken",
        _ => "check the address",
    }
}

fn login_help(url: &str, had_login: bool, places: &[String]) -> String {
    if had_login {
        return "check that the login is still good and may read this".to_owned();
    }
    let host = url.split('/').nth(2).unwrap_or_default();
    let looked = if places.is_empty() { String::new() } else { format!(": there is none in {}", places.join(", ")) };
    format!("check the name; if it needs a login, `podman login {host}` or `docker login {host}` keeps one{looked}")
}

pub(super) fn answer(result: reqwest::Result<Response>, url: &str, settings: &Settings) -> Result<Response, HttpError> {
    let url = url.to_owned();
    let response = match result {
        Ok(response) => response,
        Err(e) if e.is_redirect() => return Err(HttpError::Redirect { url, cause: innermost(&e).into() }),
        Err(e) if e.is_builder() => return Err(HttpError::BadUrl { url, cause: innermost(&e).into() }),
        Err(e) if chain(&e).any(<dyn std::error::Error>::is::<rustls::Error>) => {
            return Err(HttpError::Tls { url, cause: innermost(&e).into() });
        }
        Err(e) if e.is_timeout() => {
            let waited = if e.is_connect() { settings.connect_timeout } else { settings.read_timeout };
            return Err(HttpError::Timeout { url, waited });
        }
        // The connector has no public type for this error.
        Err(e) if chain(&e).any(|e| e.to_string() == "dns error") => {
            return Err(HttpError::NoSuchHost { url, cause: innermost(&e).into() });
        }
        Err(e) if e.is_connect() => return Err(HttpError::Unreachable { url, cause: innermost(&e).into() }),
        Err(e) => return Err(HttpError::Cut { url, received: 0, cause: innermost(&e).into() }),
    };
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        StatusCode::NOT_FOUND => Err(HttpError::NotFound { url }),
        status if status.is_redirection() => {
            let cause = redirect::not_followed(response.headers()).to_string().into();
            Err(HttpError::Redirect { url, cause })
        }
        status => {
            let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
            Err(HttpError::Status { url, status, retry_after })
        }
    }
}

/// `Retry-After` is a number of seconds or a date (RFC 9110, 10.2.3).
pub(super) fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

pub(super) fn broken(error: &std::io::Error, url: &str, received: u64, settings: &Settings) -> HttpError {
    let url = url.to_owned();
    let timed_out = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<reqwest::Error>())
        .map_or(error.kind() == std::io::ErrorKind::TimedOut, reqwest::Error::is_timeout);
    if timed_out {
        HttpError::Timeout { url, waited: settings.read_timeout }
    } else {
        HttpError::Cut { url, received, cause: innermost(error).into() }
    }
}

/// An error and what caused it. `io::Error` hides the error that it wraps, so that is looked at too.
pub fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |e| match e.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn std::error::Error + 'static)),
        None => e.source(),
    })
}

/// The message of the innermost cause: the outer ones only say that a request failed.
pub fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let of_tls = chain(error).find_map(|e| e.downcast_ref::<rustls::Error>()).map(tls_words);
    of_tls.unwrap_or_else(|| chain(error).last().map_or_else(|| error.to_string(), ToString::to_string))
}
