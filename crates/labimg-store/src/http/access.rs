//! What is shown to container registries: tokens that anyone gets, and logins of the user where a registry asks for one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::blocking::Response;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};

use super::bearer::Challenge;
use super::guarded::{Guarded, is_open};
use super::login::{Login, LoginError, Logins, Secret};
use super::{Http, HttpError, shown};

/// What registries were shown so far; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Access {
    /// The repository's address → what it takes.
    grants: Arc<Mutex<BTreeMap<String, Grant>>>,
    /// Where logins of the user are; `None` when none are wanted.
    logins: Option<Arc<Logins>>,
    guarded: Guarded,
}

/// What a repository takes.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    /// The header `Authorization`.
    pub(super) header: HeaderValue,
    /// Where the login is from that it was made of; `None` for what anyone gets.
    pub(super) login: Option<String>,
}

/// How a registry asks who is there.
enum Asks {
    /// For a token of a token server.
    Token(Challenge),
    /// For user and password (RFC 7617).
    Password,
}

impl Access {
    pub(super) fn with(logins: Logins) -> Self {
        Self { logins: Some(Arc::new(logins)), ..Self::default() }
    }

    pub(super) fn guarded(&self) -> &Guarded {
        &self.guarded
    }

    /// What is shown for an address.
    pub(super) fn of(&self, url: &str) -> Option<Grant> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.get(repository(url)?).cloned()
    }

    /// Gets what an answer asks for. False when it asks for nothing, or for something that there is not.
    pub(super) fn get(&self, refused: &Response, url: &str, http: &Http) -> Result<bool, HttpError> {
        let (Some(asks), Some(repository)) = (asks(refused), repository(url)) else { return Ok(false) };
        if refused.status() != StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        let login = self.login(url, repository, http)?;
        let place = login.as_ref().map(|login| login.place.clone());
        let denied = |e| match e {
            HttpError::Status { url, status, .. } if is_denial(status) => self.denied(url, status, place.clone()),
            e => e,
        };
        let value = match (asks, &login) {
            (Asks::Token(challenge), login) => {
                format!("Bearer {}", self.token(&challenge, login.as_ref(), http).map_err(denied)?)
            }
            (Asks::Password, Some(Login { secret: Secret::Password { user, password }, .. })) => basic(user, password),
            (Asks::Password, _) => return Ok(false),
        };
        let no_header =
            |_| HttpError::Cut { url: shown(url), received: 0, cause: "the token has control characters".into() };
        let mut header = HeaderValue::try_from(value).map_err(no_header)?;
        header.set_sensitive(true);
        let grant = Grant { header, login: place };
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.to_owned(), grant);
        Ok(true)
    }

    /// The login of the user for a repository, if there is one and it may be sent there.
    fn login(&self, url: &str, repository: &str, http: &Http) -> Result<Option<Login>, HttpError> {
        let (Some(logins), Ok(parsed)) = (&self.logins, Url::parse(repository)) else { return Ok(None) };
        let host = match (parsed.host_str(), parsed.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (host, _) => host.unwrap_or_default().to_owned(),
        };
        let path = parsed.path();
        let name = path.split_once("/v2/").map_or(path, |(_, name)| name).trim_matches('/');
        let found = logins.find(&host, name, &|| http.check());
        let login = found.map_err(|e| match e {
            LoginError::Interrupted(e) => HttpError::Interrupted(e),
            source => HttpError::Login { url: shown(url), source: source.into() },
        })?;
        login.map(|login| closed(login, &parsed)).transpose()
    }

    /// Asks a token server.
    fn token(&self, challenge: &Challenge, login: Option<&Login>, http: &Http) -> Result<String, HttpError> {
        let url = challenge.url()?;
        let settings = &http.settings;
        let answered = match login.map(|login| closed(login.clone(), &url)).transpose()?.map(|login| login.secret) {
            None => http.client.get(url).send(),
            Some(Secret::Password { user, password }) => {
                let no_header = |_| HttpError::Setup("a login has control characters".into());
                let mut header = HeaderValue::try_from(basic(&user, &password)).map_err(no_header)?;
                header.set_sensitive(true);
                self.guarded.get(&url, &header, settings, |request| request)?
            }
            Some(Secret::Identity(token)) => {
                let (url, form) = challenge.form(&token)?;
                self.guarded.post(&url, form, settings)?
            }
        };
        challenge.read(answered, settings)
    }

    /// The final error of a request that a registry or its token server refuses.
    pub(super) fn denied(&self, url: String, status: StatusCode, login: Option<String>) -> HttpError {
        let places = self.logins.as_ref().map(|logins| logins.places()).unwrap_or_default();
        HttpError::Denied { url, status, login, places }
    }
}

/// Whether an answer is about who asks.
pub(super) fn is_denial(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// The login, unless others could read it on its way to `url`.
fn closed(login: Login, url: &Url) -> Result<Login, HttpError> {
    if !is_open(url) {
        return Ok(login);
    }
    let url = shown(url.as_str());
    Err(HttpError::Login { url: url.clone(), source: LoginError::Open { place: login.place, url }.into() })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn asks(refused: &Response) -> Option<Asks> {
    let challenges: Vec<&str> =
        refused.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let token = challenges.iter().find_map(|text| Challenge::parse(text)).map(Asks::Token);
    let is_basic = |text: &&str| text.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("Basic"));
    token.or_else(|| challenges.iter().any(is_basic).then_some(Asks::Password))
}

/// The part of an address up to the repository's name (OCI Distribution Specification, "Endpoints").
pub(super) fn repository(url: &str) -> Option<&str> {
    if !url.contains("/v2/") {
        return None;
    }
    // A part of the name may itself be `manifests` or `blobs`.
    let end = url.rfind("/manifests/").max(url.rfind("/blobs/"))?;
    Some(&url[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_one_repository() {
        let of = |url| repository(url);
        assert_eq!(of("https://r.example/v2/a/b/manifests/1"), Some("https://r.example/v2/a/b/"));
        assert_eq!(of("https://r.example/v2/a/b/blobs/sha256:00"), Some("https://r.example/v2/a/b/"));
        assert_eq!(
            of("https://r.example/v2/a/manifests/b/blobs/sha256:00"),
            Some("https://r.example/v2/a/manifests/b/")
        );
        assert_eq!(of("https://mirror.example/debian/dists/trixie/InRelease"), None);
    }
}
