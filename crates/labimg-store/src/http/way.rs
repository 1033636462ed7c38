//! The way to a server that has one of its own.

use reqwest::blocking::{Client, ClientBuilder};
use reqwest::{NoProxy, Proxy, Url};

use super::error::innermost;
use super::{HttpError, Settings, client, shown};

/// The way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By the proxy of this address.
    Proxy(String),
    /// By none.
    Direct,
}

impl Way {
    /// A client that goes this way.
    pub(super) fn client(&self, settings: &Settings) -> Result<Client, HttpError> {
        let Self::Proxy(address) = self else { return client(settings, ClientBuilder::no_proxy) };
        let proxy = Proxy::all(address)
            .map_err(|e| HttpError::BadUrl { url: shown(address), cause: innermost(&e).into() })?
            .no_proxy(NoProxy::from_env());
        client(settings, |builder| builder.proxy(proxy.clone()))
    }
}

/// Scheme, host and port of an address.
pub(super) fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
}
