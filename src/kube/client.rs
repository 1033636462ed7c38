//! The API over HTTPS: objects and lists, read whole, and requests that change something.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::blocking::{Client as Http, Response};
use reqwest::header::{CONTENT_TYPE, HeaderValue, WARNING};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::find::{at_port, patiently};
use super::{Access, KubeError, tls};
use labimg_store::http::{chain, innermost};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(15);

/// Longest time for a whole request.
const WHOLE: Duration = Duration::from_secs(60);

/// Longest wait for the answer to a change: webhooks may take up to 30 s each.
const CHANGE: Duration = Duration::from_secs(55);

/// Largest answer that is read, in bytes: enough for some thousand nodes.
const LIMIT: u64 = 64 << 20;

/// What the API is asked for, beside reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Only whether it is there.
    Head,
    /// Reading.
    Get,
    /// Server-side apply.
    Apply,
    /// A patch as RFC 6902 has it.
    Patch,
    /// Deleting.
    Delete,
}

impl Verb {
    /// The method of HTTP, and the type of what is sent.
    fn method(self) -> (Method, &'static str) {
        const JSON: &str = "application/json";
        match self {
            Self::Head => (Method::HEAD, JSON),
            Self::Get => (Method::GET, JSON),
            // JSON is YAML, too.
            Self::Apply => (Method::PATCH, "application/apply-patch+yaml"),
            Self::Patch => (Method::PATCH, "application/json-patch+json"),
            Self::Delete => (Method::DELETE, JSON),
        }
    }
}

/// An answer of the API, whatever its status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The object, a `Status` object, or a text that is no JSON.
    pub body: Value,
    /// The texts of its `Warning` headers.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether it was done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What the API says is wrong.
    #[must_use]
    pub fn message(&self) -> String {
        let message = self.body.get("message").and_then(Value::as_str).or_else(|| self.body.as_str());
        let message = message.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        if message.is_empty() { format!("status {}", self.status) } else { message }
    }
}

/// A client of one cluster.
#[derive(Debug, Clone)]
pub struct Client {
    http: Http,
    base: String,
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Client {
    /// A client for the kubeconfig's cluster at these addresses and this port, which may be a forwarded one. The server
    /// must have a certificate for the kubeconfig's name.
    ///
    /// # Errors
    /// [`KubeError::Setup`].
    pub fn new(access: &Access, addresses: &[IpAddr], port: u16) -> Result<Self, KubeError> {
        let setup = |e: reqwest::Error| KubeError::Setup(innermost(&e));
        let addresses = at_port(addresses, port);
        let mut builder = Http::builder()
            .user_agent(concat!("labimg/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            // The cluster is in the local network, which a proxy cannot reach.
            .no_proxy()
            .redirect(Policy::none())
            .tls_backend_preconfigured(tls::config(access)?);
        let base = if access.host.parse::<IpAddr>().is_ok() {
            // An address is dialled as given, so the one in the URL is used.
            let first = addresses.first().ok_or_else(|| KubeError::NameNotFound { host: access.host.clone() })?;
            format!("https://{first}")
        } else {
            builder = builder.resolve_to_addrs(&access.host, &addresses);
            format!("https://{}:{port}", access.host)
        };
        Ok(Self { http: builder.build().map_err(setup)?, base, host: access.host.clone(), addresses })
    }

    /// The object or list at `path`; `None` when the API has no such kind (yet).
    ///
    /// # Errors
    /// How far the connection got.
    pub fn get<T: DeserializeOwned + Send + 'static>(&self, path: &str) -> Result<Option<T>, KubeError> {
        let (client, asked) = (self.clone(), path.to_owned());
        match patiently(WHOLE, move || client.get_now(&asked))? {
            Some(result) => result,
            None => Err(self.unreachable(format!("nothing came within {} s", WHOLE.as_secs()))),
        }
    }

    /// Sends a request, with a body if there is one. The answer may be any but that the kubeconfig's certificate is not known.
    ///
    /// # Errors
    /// How far the connection got.
    pub fn send(&self, verb: Verb, path: &str, body: Option<&Value>) -> Result<Answer, KubeError> {
        let (client, asked, body) = (self.clone(), path.to_owned(), body.map(Value::to_string));
        match patiently(WHOLE, move || client.send_now(verb, &asked, body))? {
            Some(result) => result,
            None => Err(self.unreachable(format!("nothing came within {} s", WHOLE.as_secs()))),
        }
    }

    fn send_now(&self, verb: Verb, path: &str, body: Option<String>) -> Result<Answer, KubeError> {
        let (method, kind) = verb.method();
        let mut request = self.http.request(method, format!("{}{path}", self.base)).timeout(CHANGE);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static(kind)).body(body);
        }
        let response = request.send().map_err(|e| self.failed(&e))?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(KubeError::Unauthorized { host: self.host.clone() });
        }
        let warnings = response.headers().get_all(WARNING).iter().filter_map(|value| warning(value.to_str().ok()?));
        let warnings = warnings.collect();
        let body = self.body(response)?;
        let body = match serde_json::from_slice(&body) {
            Ok(value) => value,
            // Go's servers answer in plain text to paths that they do not know.
            Err(_) if !status.is_success() => Value::from(String::from_utf8_lossy(&body[..body.len().min(500)])),
            Err(_) if body.is_empty() => Value::Null,
            Err(e) => {
                return Err(self.answer(path, &format!("no such JSON (line {}, column {})", e.line(), e.column())));
            }
        };
        Ok(Answer { status: status.as_u16(), body, warnings })
    }

    fn get_now<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, KubeError> {
        let response = self.http.get(format!("{}{path}", self.base)).send().map_err(|e| self.failed(&e))?;
        let answer = |what: String| self.answer(path, &what);
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::UNAUTHORIZED => return Err(KubeError::Unauthorized { host: self.host.clone() }),
            StatusCode::FORBIDDEN => {
                return Err(KubeError::Forbidden { host: self.host.clone(), path: path.to_owned() });
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(KubeError::Starting { host: self.host.clone(), status: status.as_u16() });
            }
            status => return Err(answer(format!("status {}", status.as_u16()))),
        }
        let body = self.body(response)?;
        if body.len() as u64 > LIMIT {
            return Err(answer("far too much".to_owned()));
        }
        // The parser's message may quote what it read; the position is enough.
        let parsed = serde_json::from_slice(&body);
        parsed.map(Some).map_err(|e| answer(format!("no such JSON (line {}, column {})", e.line(), e.column())))
    }

    fn body(&self, response: Response) -> Result<Vec<u8>, KubeError> {
        let mut body = Vec::new();
        match response.take(LIMIT + 1).read_to_end(&mut body) {
            Ok(_) => Ok(body),
            Err(e) => Err(self.unreachable(format!("the answer was cut short ({})", innermost(&e)))),
        }
    }

    fn failed(&self, error: &reqwest::Error) -> KubeError {
        if let Some(tls) = chain(error).find_map(|e| e.downcast_ref::<rustls::Error>()) {
            let (why, help) = tls::explain(tls);
            return KubeError::Tls { host: self.host.clone(), why, help };
        }
        self.unreachable(if error.is_timeout() {
            "it does not answer".to_owned()
        } else {
            format!("there is no connection ({})", innermost(error))
        })
    }

    /// An error about an unexpected answer.
    pub(super) fn answer(&self, path: &str, what: &str) -> KubeError {
        KubeError::Answer { host: self.host.clone(), path: path.to_owned(), what: what.to_owned() }
    }

    fn unreachable(&self, why: String) -> KubeError {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        KubeError::Unreachable { host: self.host.clone(), address: addresses.join(", "), why }
    }
}

/// The text of a warning: `299 - "text"` (RFC 7234, section 5.5).
fn warning(header: &str) -> Option<String> {
    let text = header.splitn(3, ' ').nth(2)?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_texts() {
        assert_eq!(warning(r#"299 - "unknown field \"spec.a\"""#).as_deref(), Some(r#"unknown field "spec.a""#));
        assert_eq!(warning(r"299 kube plain").as_deref(), Some("plain"));
        assert_eq!(warning("299"), None);
    }
}
