//! Tokens of container registries. A request without a token is answered with the address where to get one. For a
//! public repository anyone gets one there, for others who has a login (distribution.github.io, "Token Authentication
//! Specification" and `OAuth2` tokens; RFC 6750, 3).

use std::io::Read;

use reqwest::Url;
use reqwest::blocking::Response;
use serde::Deserialize;

use super::{HttpError, Settings, answer, broken, shown};

/// Largest token answer that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// A registry's answer that says where to get a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    /// `service` and `scope`, as the registry gave them.
    query: Vec<(&'static str, String)>,
}

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…"` (RFC 9110, 11.6.1).
    pub(super) fn parse(text: &str) -> Option<Self> {
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

    /// Where a token is to be had.
    pub(super) fn url(&self) -> Result<Url, HttpError> {
        let mut url = self.parsed(Url::parse(&self.realm))?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Ok(url)
    }

    /// Where a token is to be had for an identity token, and what is posted there.
    pub(super) fn form(&self, identity: &str) -> Result<(Url, String), HttpError> {
        let mut fields = vec![("grant_type", "refresh_token"), ("client_id", "labimg"), ("refresh_token", identity)];
        fields.extend(self.query.iter().map(|(name, value)| (*name, value.as_str())));
        let form = self.parsed(Url::parse_with_params("form:", fields))?;
        Ok((self.parsed(Url::parse(&self.realm))?, form.query().unwrap_or_default().to_owned()))
    }

    fn parsed<E: std::fmt::Display>(&self, url: Result<Url, E>) -> Result<Url, HttpError> {
        url.map_err(|e| HttpError::BadUrl { url: shown(&self.realm), cause: e.to_string().into() })
    }

    /// The token in an answer.
    pub(super) fn read(&self, answered: reqwest::Result<Response>, settings: &Settings) -> Result<String, HttpError> {
        #[derive(Deserialize)]
        struct Given {
            token: Option<String>,
            access_token: Option<String>,
        }
        let url = shown(&self.realm);
        let no_token = |cause: &str| HttpError::Cut { url: url.clone(), received: 0, cause: cause.into() };
        let mut text = Vec::new();
        let response = answer(answered, &url, settings)?;
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

    proptest! {
        #[test]
        fn no_challenge_ends_the_program(text in "(Bearer )?[ -~]{0,60}") {
            let _ = Challenge::parse(&text);
        }
    }
}
