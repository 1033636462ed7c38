//! A file of logins (containers-auth.json(5); Docker's `config.json`, which has the same fields and others).
//!
//! ```json
//! {
//!   "auths": { "quay.io/me": { "auth": "<user:password in base64>" }, "ghcr.io": { "identitytoken": "…" } },
//!   "credHelpers": { "gcr.io": "gcloud" },
//!   "credsStore": "pass"
//! }
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::error::Category;
use serde_json::{Map, Value};

use super::{LoginError, Secret, canonical};

/// The content of a file.
pub(super) struct File {
    /// Host, or host and beginning of a repository → its login.
    auths: BTreeMap<String, Secret>,
    /// Host → the credential helper that keeps its login.
    helpers: BTreeMap<String, String>,
    /// The credential helper for all other hosts.
    store: Option<String>,
}

/// Where a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Secret(&'a Secret),
    /// The name of a credential helper, without `docker-credential-`.
    Helper(&'a str),
}

impl File {
    /// Reads a file; `None` when there is none and none is needed.
    pub(super) fn read(path: &Path, needed: bool) -> Result<Option<Self>, LoginError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(e) if !needed && matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(source) => return Err(LoginError::Read { path: path.to_owned(), source }),
        };
        Self::parse(&text).map(Some).map_err(|what| LoginError::Format { path: path.to_owned(), what })
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        // Podman makes an empty file sometimes.
        if text.trim_ascii().is_empty() {
            return Ok(Self { auths: BTreeMap::new(), helpers: BTreeMap::new(), store: None });
        }
        let whole: Value = serde_json::from_slice(text).map_err(|e| {
            let what = if e.classify() == Category::Eof { "it ends too early" } else { "it is not valid JSON" };
            format!("{what} (line {})", e.line())
        })?;
        let whole = whole.as_object().ok_or("it is not a JSON object")?;
        let mut auths = BTreeMap::new();
        for (key, entry) in object(whole, "auths")? {
            let secret = secret(entry).map_err(|what| format!("`auths` of `{key}`: {what}"))?;
            if let Some(secret) = secret {
                auths.insert(place(key), secret);
            }
        }
        let mut helpers = BTreeMap::new();
        for (key, name) in object(whole, "credHelpers")? {
            let name = name.as_str().ok_or_else(|| format!("`credHelpers` of `{key}` is not a name"))?;
            helpers.insert(place(key), helper(name)?.to_owned());
        }
        let store = match string(whole, "credsStore")? {
            "" => None,
            name => Some(helper(name)?.to_owned()),
        };
        Ok(Self { auths, helpers, store })
    }

    /// Where the login for a repository may be, best first.
    pub(super) fn find<'a>(&'a self, host: &str, repository: &str) -> Vec<Found<'a>> {
        let of_host = self.helpers.get(host).map(String::as_str).map(Found::Helper);
        let whole = format!("{host}/{repository}");
        let mut keys = std::iter::successors(Some(whole.as_str()), |key| Some(key.rsplit_once('/')?.0));
        let secret = keys.find_map(|key| self.auths.get(key)).map(Found::Secret);
        let of_all = self.store.as_deref().map(Found::Helper);
        [of_host, secret, of_all].into_iter().flatten().collect()
    }
}

/// The host, or host and beginning of a repository, that a key is for. Docker writes some as addresses of the API.
fn place(key: &str) -> String {
    let (bare, is_address) = match key.split_once("://") {
        Some((_, rest)) => (rest, true),
        None => (key, false),
    };
    let bare = bare.trim_end_matches('/');
    let (host, path) = bare.split_once('/').map_or((bare, None), |(host, path)| (host, Some(path)));
    let host = canonical(host);
    match path {
        Some(path) if !is_address && !matches!(path, "v1" | "v2") => format!("{host}/{path}"),
        _ => host.to_owned(),
    }
}

/// The login of an entry; `None` in an empty one, which only says that a credential helper has it.
fn secret(entry: &Value) -> Result<Option<Secret>, String> {
    let entry = entry.as_object().ok_or("it is not a JSON object")?;
    let identity = string(entry, "identitytoken")?;
    if !identity.is_empty() {
        return Ok(Some(Secret::Identity(identity.to_owned())));
    }
    let auth = string(entry, "auth")?;
    if auth.is_empty() {
        let (user, password) = (string(entry, "username")?, string(entry, "password")?);
        let secret = Secret::Password { user: user.to_owned(), password: password.to_owned() };
        return Ok((!user.is_empty()).then_some(secret));
    }
    let bytes = STANDARD.decode(auth.trim()).map_err(|_| "`auth` is not base64")?;
    let pair = String::from_utf8(bytes).ok();
    let (user, password) =
        pair.as_deref().and_then(|pair| pair.split_once(':')).ok_or("`auth` is not `user:password` in base64")?;
    // Docker once filled it up with zeros.
    let password = password.trim_matches('\0').to_owned();
    Ok(Some(Secret::Password { user: user.to_owned(), password }))
}

/// A name becomes a part of a program's.
fn helper(name: &str) -> Result<&str, String> {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if !name.is_empty() && is_name(name) {
        Ok(name)
    } else {
        Err("the name of a credential helper has other characters than letters, digits, `-`, `_` and `.`".to_owned())
    }
}

fn object<'a>(of: &'a Map<String, Value>, name: &str) -> Result<impl Iterator<Item = (&'a String, &'a Value)>, String> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None.into_iter().flatten()),
        Some(Value::Object(entries)) => Ok(Some(entries).into_iter().flatten()),
        Some(_) => Err(format!("`{name}` is not a JSON object")),
    }
}

fn string<'a>(of: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("`{name}` is not a text")),
    }
}
