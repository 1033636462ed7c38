//! Tokens of container registries. A request without a token is answered with the address where to get one, and for a
//! public repository anyone gets one there (distribution.github.io, "Token Authentication Specification"; RFC 6750, 3).

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::WWW_AUTHENTICATE;
use serde::Deserialize;

use super::{HttpError, Settings, answer, broken, shown};

/// Largest token answer that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Tokens received so far: the repository's address → the token.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens(Arc<Mutex<BTreeMap<String, String>>>);

impl Tokens {
    /// The token for an address, if there is one.
    pub(super) fn of(&self, url: &str) -> Option<String> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(repository(url)?).cloned()
    }

    /// Gets the token that an answer asks for. False when it asks for none, or for another kind of login.
    pub(super) fn get(
        &self,
        refused: &Response,
        url: &str,
        client: &Client,
        settings: &Settings,
    ) -> Result<bool, HttpError> {
        let challenges = refused.headers().get_all(WWW_AUTHENTICATE);
        let challenge = challenges.iter().find_map(|value| Challenge::parse(value.to_str().ok()?));
        let (Some(challenge), Some(repository)) = (challenge, repository(url)) else { return Ok(false) };
        if refused.status() != StatusCode::UNAUTHORIZED {
            return Ok(false);
        }
        let token = challenge.ask(client, settings)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.to_owned(), token);
        Ok(true)
    }
}

/// The part of an address up to the repository's name (OCI Distribution Specification, "Endpoints").
fn repository(url: &str) -> Option<&str> {
    if !url.contains("/v2/") {
        return None;
    }
    // A part of the name may itself be `manifests` or `blobs`.
    let end = url.rfind("/manifests/").max(url.rfind("/blobs/"))?;
    Some(&url[..=end])
}

/// A registry's answer that says where to get a token.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    /// `service` and `scope`, as the registry gave them.
    query: Vec<(&'static str, String)>,
}

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…"` (RFC 9110, 11.6.1).
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Bearer") {
            return None;
        }
        let (mut realm, mut query) = (None, Vec::new());
        let mut rest = rest.trim_start();
        while let Some((name, after)) = rest.split_once('=') {
            let (value, after) = value(after.trim_start())?;
            match name.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value),
                "service" => query.push(("service", value)),
                "scope" => query.push(("scope", value)),
                _ => {}
            }
            rest = after.trim_start_matches([' ', '\t', ',']);
        }
        Some(Self { realm: realm?, query })
    }

    fn ask(&self, client: &Client, settings: &Settings) -> Result<String, HttpError> {
        #[derive(Deserialize)]
        struct Given {
            token: Option<String>,
            access_token: Option<String>,
        }
        let url = shown(&self.realm);
        let no_token = |cause: &str| HttpError::Cut { url: url.clone(), received: 0, cause: cause.into() };
        let parsed = reqwest::Url::parse_with_params(&self.realm, &self.query);
        let parsed = parsed.map_err(|e| HttpError::BadUrl { url: url.clone(), cause: e.to_string().into() })?;
        let mut text = Vec::new();
        let response = answer(client.get(parsed).send(), &url, settings)?;
        response.take(LIMIT).read_to_end(&mut text).map_err(|e| broken(&e, &url, 0, settings))?;
        let given: Given = serde_json::from_slice(&text).map_err(|_| no_token("the answer is not a token"))?;
        let token = given.token.or(given.access_token).filter(|token| !token.is_empty());
        token.ok_or_else(|| no_token("the answer has no token"))
    }
}

/// A word or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_challenge_says_where_a_token_is_to_be_had() {
        let given =
            r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push""#;
        let parsed = Challenge::parse(given).unwrap();
        assert_eq!(parsed.realm, "https://auth.example/token");
        let scope = "repository:a/b:pull,push".to_owned();
        assert_eq!(parsed.query, [("service", "registry.example".to_owned()), ("scope", scope)]);
        let spaced = Challenge::parse(r#"bearer  error=invalid_token , realm = "a\"b""#).unwrap();
        assert_eq!((spaced.realm.as_str(), spaced.query.len()), ("a\"b", 0));
        for none in ["", "Bearer", "Bearer ", "Basic realm=\"x\"", "Bearer service=\"x\"", "Bearer realm=\"x"] {
            assert_eq!(Challenge::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_token_is_for_one_repository() {
        let of = |url| repository(url);
        assert_eq!(of("https://r.example/v2/a/b/manifests/1"), Some("https://r.example/v2/a/b/"));
        assert_eq!(of("https://r.example/v2/a/b/blobs/sha256:00"), Some("https://r.example/v2/a/b/"));
        assert_eq!(
            of("https://r.example/v2/a/manifests/b/blobs/sha256:00"),
            Some("https://r.example/v2/a/manifests/b/")
        );
        assert_eq!(of("https://mirror.example/debian/dists/trixie/InRelease"), None);
    }

    proptest! {
        #[test]
        fn no_challenge_ends_the_program(text in "(Bearer )?[ -~]{0,60}") {
            let _ = Challenge::parse(&text);
        }
    }
}
