//! A blocking HTTP client. Small files are read whole ([`Http::get`]), large ones as a stream from any offset
//! ([`Http::open`]).
//!
//! Each transfer runs in its own thread, which sends its pieces through a bounded channel. So the caller can check
//! [`interrupt`] several times a second, also while a name lookup or a connect hangs, which cannot be cut short.
//! Connections are reused for the next file of the same host.
//!
//! Proxies come from `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`; certificate authorities come from the
//! system or `SSL_CERT_FILE`, or from Mozilla's list when the system has none. Container registries are shown the
//! tokens and logins that they ask for (`access`).

mod access;
mod bearer;
mod body;
mod error;
mod guarded;
mod login;
mod reach;
mod redirect;
mod tls;
mod way;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::blocking::{Client, ClientBuilder, RequestBuilder, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, RANGE};

use labimg_tree::interrupt::{self, Interrupted};

use access::{Access, Grant, is_denial, repository};
pub use body::Body;
use body::{Event, Pace};
pub use error::HttpError;
use error::{answer, broken};
pub use error::{chain, innermost};
pub use login::{LoginError, Logins};
use reach::Reach;
pub use tls::{certificate_words, tls_words};
pub use way::Way;
use way::origin;

/// How often a waiting thread checks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// Largest piece that [`Body::chunk`] returns, in bytes.
const PIECE: usize = 256 * 1024;

/// Pieces that may wait for the caller. Together with [`PIECE`] this limits the memory of a transfer to about 1 MiB.
const AHEAD: usize = 3;

/// Timeouts and numbers of attempts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, and between two pieces of it.
    pub read_timeout: Duration,
    /// Attempts before a transient error becomes final; at least 1.
    pub attempts: u32,
    /// Wait before the second attempt; doubles each time.
    pub first_delay: Duration,
    /// Longest wait between two attempts; a server that asks for more is not tried again.
    pub longest_delay: Duration,
    /// Fewest bytes that must come in a [`Settings::window`] of waiting: less is as good as nothing.
    pub least: u64,
    /// How long a server may take to send [`Settings::least`] bytes.
    pub window: Duration,
    /// Longest wait for an answer of a host that could not be reached lately.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(30),
            attempts: 4,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(60),
            least: 64 << 10,
            window: Duration::from_secs(60),
            patience: Duration::from_secs(3),
        }
    }
}

/// How often a transfer may be too slow: the second time it is not a passing trouble of the line.
const SLOW_TWICE: u32 = 2;

impl Settings {
    /// How long to wait after attempt number `attempt` (from 1) failed with `error`; `None` when the error is final.
    #[must_use]
    pub fn delay(&self, attempt: u32, error: &HttpError) -> Option<Duration> {
        let slow = matches!(error, HttpError::Slow { .. }) && attempt >= SLOW_TWICE;
        if attempt >= self.attempts || slow || !error.is_transient() {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(16);
        let own = self.first_delay.saturating_mul(1 << doublings).min(self.longest_delay);
        let delay = error.retry_after().map_or(own, |asked| asked.max(own));
        (delay <= self.longest_delay).then_some(delay)
    }
}

/// The client; clones share connections.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    settings: Settings,
    /// Scheme, host and port → the client for it.
    others: Arc<BTreeMap<String, Client>>,
    access: Access,
    reach: Reach,
    stop: Option<Arc<AtomicBool>>,
}

impl Http {
    /// A client with the default settings.
    ///
    /// # Errors
    /// [`HttpError::Setup`] when TLS cannot be set up or no thread can be started.
    pub fn new() -> Result<Self, HttpError> {
        Self::with(Settings::default())
    }

    /// A client with other settings.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn with(settings: Settings) -> Result<Self, HttpError> {
        let client = client(&settings, |builder| builder)?;
        Ok(Self {
            client,
            settings,
            others: Arc::default(),
            access: Access::default(),
            reach: Reach::default(),
            stop: None,
        })
    }

    /// Remembers for some minutes, in a file of the folder `dir`, which hosts could not be reached: they are asked only
    /// once, and briefly.
    #[must_use]
    pub fn remembering(self, dir: &Path) -> Self {
        self.reach.remember(&dir.join("unreachable"));
        self
    }

    /// Asks these servers, each by scheme, host and port, in a way of their own, whatever the environment says. `no_proxy`
    /// counts all the same.
    ///
    /// # Errors
    /// [`HttpError::BadUrl`] for what is no proxy; as [`Http::new`].
    pub fn with_ways(self, ways: &BTreeMap<String, Way>) -> Result<Self, HttpError> {
        let made = |(server, way): (&String, &Way)| Ok((origin(server), way.client(&self.settings)?));
        let others: BTreeMap<_, _> = ways.iter().map(made).collect::<Result<_, HttpError>>()?;
        Ok(Self { others: Arc::new(others), ..self })
    }

    /// Shows these logins to container registries that ask for one.
    #[must_use]
    pub fn with_logins(self, logins: Logins) -> Self {
        Self { access: Access::with(logins), ..self }
    }

    /// How long to wait after attempt number `attempt` (from 1) to get `url` failed with `error`; `None` when the error
    /// is final.
    #[must_use]
    pub fn delay(&self, url: &str, attempt: u32, error: &HttpError) -> Option<Duration> {
        if error.is_host_down() && self.reach.is_down(url) {
            return None;
        }
        let delay = self.settings.delay(attempt, error);
        if delay.is_none() {
            self.reach.failed(url, error);
        }
        delay
    }

    /// The settings in use.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Fetches a whole small file of at most `limit` bytes; retries after transient errors.
    ///
    /// # Errors
    /// The last error, when it is not transient or no attempts are left.
    pub fn get(&self, url: &str, limit: u64) -> Result<Vec<u8>, HttpError> {
        self.get_as(url, None, limit)
    }

    /// As [`Http::get`], for a file that the server has in several formats: `accept` names the accepted ones (RFC 9110,
    /// 12.5.1).
    ///
    /// # Errors
    /// As [`Http::get`].
    pub fn get_as(&self, url: &str, accept: Option<&'static str>, limit: u64) -> Result<Vec<u8>, HttpError> {
        let mut attempt = 1;
        loop {
            match self.get_once(url, accept, limit) {
                Err(e) => match self.delay(url, attempt, &e) {
                    Some(delay) => self.pause(delay)?,
                    None => return Err(e),
                },
                done => return done,
            }
            attempt += 1;
        }
    }

    fn get_once(&self, url: &str, accept: Option<&'static str>, limit: u64) -> Result<Vec<u8>, HttpError> {
        let too_large = || HttpError::TooLarge { url: shown(url), limit };
        let mut body = self.begin(url, accept, 0)?;
        if body.total().is_some_and(|total| total > limit) {
            return Err(too_large());
        }
        let mut all = Vec::new();
        while let Some(piece) = body.chunk()? {
            if all.len() as u64 + piece.len() as u64 > limit {
                return Err(too_large());
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// A client that shares this one's connections and stops, as on an interrupt, once `stop` is set.
    #[must_use]
    pub fn until(&self, stop: Arc<AtomicBool>) -> Self {
        Self { stop: Some(stop), ..self.clone() }
    }

    /// An error when the user asked to stop, or the flag given to [`Http::until`] is set.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn check(&self) -> Result<(), Interrupted> {
        check(self.stop.as_deref())
    }

    /// Sleeps, unless told to stop.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn pause(&self, delay: Duration) -> Result<(), Interrupted> {
        let end = Instant::now() + delay;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    /// Requests `url` once, from byte `offset`. Check [`Body::start`]: a server may ignore the offset.
    ///
    /// # Errors
    /// Any answer without the file; with an offset past the end, [`HttpError::Status`] with 416.
    pub fn open(&self, url: &str, offset: u64) -> Result<Body, HttpError> {
        self.begin(url, None, offset)
    }

    fn begin(&self, url: &str, accept: Option<&'static str>, offset: u64) -> Result<Body, HttpError> {
        let (sender, pieces) = sync_channel(AHEAD);
        let (asking, settings, whole) = (self.clone(), self.settings.clone(), url.to_owned());
        let address = shown(url);
        let asked = address.clone();
        std::thread::Builder::new()
            .name("download".into())
            .spawn(move || {
                // A send fails when the caller is gone; then nobody needs the result.
                let mut response = match asking.ask(&whole, accept, offset) {
                    Ok(response) => response,
                    Err(e) => return drop(sender.send(Err(e))),
                };
                let head = Event::Head(response.status(), Box::new(response.headers().clone()));
                if sender.send(Ok(head)).is_err() {
                    return;
                }
                let (mut buffer, mut received) = (vec![0; PIECE], 0);
                loop {
                    let event = match response.read(&mut buffer) {
                        Ok(0) => Ok(Event::End),
                        Ok(count) => {
                            received += count as u64;
                            Ok(Event::Piece(buffer.get(..count).unwrap_or_default().to_vec()))
                        }
                        Err(e) => Err(broken(&e, &asked, received, &settings)),
                    };
                    let last = !matches!(event, Ok(Event::Piece(_)));
                    if sender.send(event).is_err() || last {
                        return;
                    }
                }
            })
            .map_err(|e| HttpError::Setup(format!("no thread for a download: {e}").into()))?;
        let Settings { least, window, patience, .. } = self.settings;
        let mut body = Body::new(address, pieces, self.stop.clone(), Pace::new(least, window));
        // Another thread may have set it down meanwhile; what is asked already is asked as usual.
        let head = if self.reach.is_down(url) { patience } else { 2 * window };
        let first = body.first(head);
        if matches!(first, Ok(_) | Err(HttpError::NotFound { .. } | HttpError::Status { .. })) {
            self.reach.answered(url);
        }
        body.begun(first?, offset)
    }

    /// An answer that holds the file. A registry that wants a token or a login is asked again with it.
    fn ask(&self, url: &str, accept: Option<&'static str>, offset: u64) -> Result<Response, HttpError> {
        let adorn = |mut request: RequestBuilder| {
            if offset > 0 {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            accept.into_iter().fold(request, |request, accept| request.header(ACCEPT, accept))
        };
        let ask = || match (self.access.of(url), Url::parse(url)) {
            (Some(Grant { header, login: Some(_) }), Ok(parsed)) => {
                self.access.guarded().get(&parsed, &header, &self.settings, adorn)
            }
            (grant, _) => {
                let headers = grant.into_iter().map(|grant| (AUTHORIZATION, grant.header)).collect();
                let client = self.others.get(&origin(url)).unwrap_or(&self.client);
                Ok(adorn(client.get(url)).headers(headers).send())
            }
        };
        let mut answered = ask()?;
        if let Ok(refused) = &answered
            && self.access.get(refused, url, self)?
        {
            answered = ask()?;
        }
        answer(answered, &shown(url), &self.settings).map_err(|e| match e {
            HttpError::Status { status, .. } if is_denial(status) && repository(url).is_some() => {
                self.access.denied(shown(url), status, self.access.of(url).and_then(|grant| grant.login))
            }
            e => e,
        })
    }
}

/// A client of the HTTP library, with settings of its own by `more`.
fn client(settings: &Settings, more: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, HttpError> {
    // An error means that a provider is already installed, which is just as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        let builder = Client::builder()
            .user_agent(concat!("labimg/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            // In the blocking client this limits each wait (for the answer, for the next bytes), not the whole
            // transfer.
            .timeout(settings.read_timeout)
            .redirect(redirect::policy())
            .pool_max_idle_per_host(32)
            .tcp_keepalive(Duration::from_secs(30));
        more(builder)
    };
    // The first attempt fails on a system without any certificate authority.
    builder().build().or_else(|_| {
        let bundled = builder().tls_backend_preconfigured(bundled_authorities()).build();
        bundled.map_err(|e| HttpError::Setup(innermost(&e).into()))
    })
}

fn check(stop: Option<&AtomicBool>) -> Result<(), Interrupted> {
    interrupt::check()?;
    if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) { Err(Interrupted) } else { Ok(()) }
}

/// The address for messages, without its password. A user name without a password is a token, so it is left out too.
#[must_use]
pub fn shown(url: &str) -> String {
    match Url::parse(url) {
        // These fail only for addresses that cannot hold a password.
        Ok(mut parsed) if parsed.password().is_some() => {
            let _ = parsed.set_password(Some("***"));
            parsed.into()
        }
        Ok(mut parsed) if !parsed.username().is_empty() => {
            let _ = parsed.set_username("***");
            parsed.into()
        }
        _ => url.to_owned(),
    }
}

fn bundled_authorities() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

#[cfg(test)]
mod login_tests;
#[cfg(test)]
pub(super) mod tests;
