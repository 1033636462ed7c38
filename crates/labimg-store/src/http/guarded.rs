//! Requests with a login of the user: they go by TLS or stay on this computer, and a redirect to anywhere else goes on
//! without the login.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use super::{HttpError, Settings, client, redirect, shown};

/// The clients for such requests; clones share connections.
#[derive(Clone, Default)]
pub(super) struct Guarded(Arc<Clients>);

#[derive(Default)]
struct Clients {
    /// Uses the proxy, as all others: it only sees what is encrypted.
    to_others: OnceLock<Client>,
    /// Without a proxy, which would read everything.
    to_here: OnceLock<Client>,
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded")
    }
}

impl Guarded {
    /// Gets `url` with a login; `adorn` adds other headers.
    pub(super) fn get(
        &self,
        url: &Url,
        login: &HeaderValue,
        settings: &Settings,
        adorn: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<reqwest::Result<Response>, HttpError> {
        let (mut at, mut login, mut previous) = (url.clone(), Some(login), Vec::new());
        loop {
            let mut request = adorn(self.client(&at, login.is_some(), settings)?.get(at.clone()));
            if let Some(login) = login {
                request = request.header(AUTHORIZATION, login);
            }
            let next = match request.send() {
                Ok(response) => match redirected(&response) {
                    Some(next) => next,
                    None => return Ok(Ok(response)),
                },
                Err(e) => return Ok(Err(e)),
            };
            // It does not come back with a later redirect.
            login = login.filter(|_| next.origin() == url.origin());
            previous.push(at);
            if let Err(astray) = redirect::check(&previous, &next) {
                return Err(HttpError::Redirect { url: shown(url.as_str()), cause: astray.to_string().into() });
            }
            at = next;
        }
    }

    /// Posts a form that holds a login. No redirect is followed: its body would be sent on.
    pub(super) fn post(
        &self,
        url: &Url,
        form: String,
        settings: &Settings,
    ) -> Result<reqwest::Result<Response>, HttpError> {
        let request = self.client(url, true, settings)?.post(url.clone());
        Ok(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form).send())
    }

    fn client(&self, url: &Url, has_login: bool, settings: &Settings) -> Result<&Client, HttpError> {
        let is_here = has_login && url.scheme() == "http";
        let known = if is_here { &self.0.to_here } else { &self.0.to_others };
        if let Some(client) = known.get() {
            return Ok(client);
        }
        let made = client(settings, |builder| {
            let builder = builder.redirect(Policy::none());
            if is_here { builder.no_proxy() } else { builder }
        })?;
        Ok(known.get_or_init(|| made))
    }
}

/// Whether others on the way can read what is sent to an address.
pub(super) fn is_open(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    url.scheme() != "https" && !is_here
}

/// Where an answer sends the client (RFC 9110, 15.4).
fn redirected(response: &Response) -> Option<Url> {
    let is_redirect = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| is_redirect)?;
    response.url().join(location.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_this_computer_are_closed_to_others() {
        for (url, open) in [
            ("https://r.example/", false),
            ("http://r.example/", true),
            ("http://10.0.0.5:5000/", true),
            ("http://localhost:5000/", false),
            ("http://localhost.example/", true),
            ("http://127.0.0.1/", false),
            ("http://127.1.2.3/", false),
            ("http://[::1]:5000/", false),
            ("http://[fe80::1]/", true),
            ("http://0.0.0.0/", true),
            ("ftp://r.example/", true),
        ] {
            assert_eq!(is_open(&Url::parse(url).unwrap()), open, "{url}");
        }
    }
}
