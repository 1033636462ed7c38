//! The kubeconfig: the API's address, the trusted CAs, and our identity (Kubernetes: "Organizing Cluster Access Using
//! kubeconfig Files", `v1.Config`).

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::KubeError;

/// Largest kubeconfig that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// Port of an `https` address without one.
const HTTPS: u16 = 443;

/// How to talk to a cluster.
#[derive(Clone)]
pub struct Access {
    /// Name of the context.
    pub context: String,
    /// Host name or address of the API server: its certificate must be for this name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// CAs of the server, in PEM.
    pub authorities: Vec<u8>,
    /// Our certificate, in PEM.
    pub certificate: Vec<u8>,
    /// Its private key, in PEM.
    pub(super) key: Vec<u8>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key and the certificate of its owner.
        let Self { context, host, port, .. } = self;
        f.debug_struct("Access")
            .field("context", context)
            .field("host", host)
            .field("port", port)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    clusters: Vec<Named<ClusterEntry>>,
    #[serde(default)]
    users: Vec<Named<UserEntry>>,
    #[serde(default)]
    contexts: Vec<Named<ContextEntry>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(flatten)]
    value: T,
}

#[derive(Deserialize)]
struct ClusterEntry {
    cluster: Cluster,
}

#[derive(Deserialize)]
struct UserEntry {
    user: User,
}

#[derive(Deserialize)]
struct ContextEntry {
    context: Context,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<PathBuf>,
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "client-certificate-data")]
    certificate_data: Option<String>,
    #[serde(rename = "client-certificate")]
    certificate: Option<PathBuf>,
    #[serde(rename = "client-key-data")]
    key_data: Option<String>,
    #[serde(rename = "client-key")]
    key: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

impl Access {
    /// Reads the current context of a kubeconfig.
    ///
    /// # Errors
    /// [`KubeError::Kubeconfig`]: a missing file, invalid YAML, or a missing field.
    pub fn read(path: &Path) -> Result<Self, KubeError> {
        let fail = |why: String| KubeError::Kubeconfig { path: path.to_owned(), why, help: None, source: None };
        let unread = |source| KubeError::Kubeconfig {
            path: path.to_owned(),
            why: "it cannot be read".to_owned(),
            help: None,
            source: Some(source),
        };
        let text = match std::fs::metadata(path) {
            Ok(found) if found.len() > LIMIT => return Err(fail("far too large for a kubeconfig".to_owned())),
            Ok(_) => std::fs::read_to_string(path).map_err(unread)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(KubeError::Kubeconfig {
                    path: path.to_owned(),
                    why: "there is no such file".to_owned(),
                    help: Some("`labimg build` writes it when it builds a lab"),
                    source: None,
                });
            }
            Err(e) => return Err(unread(e)),
        };
        Self::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(fail)
    }

    /// Parses the current context of a kubeconfig; relative paths in it are relative to `dir`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str, dir: &Path) -> Result<Self, String> {
        // The parser's message may quote the line, which may hold the key, so only the position is shown.
        let config: Config = serde_saphyr::from_str(text).map_err(|e| match e.location() {
            Some(at) => format!("this is not a kubeconfig (line {}, column {})", at.line(), at.column()),
            None => "this is not a kubeconfig".to_owned(),
        })?;
        let name = config.current_context;
        let context = pick(config.contexts, &name).ok_or_else(|| format!("it has no context `{name}`"))?.context;
        let cluster = pick(config.clusters, &context.cluster);
        let cluster = cluster.ok_or_else(|| format!("it has no cluster `{}`", context.cluster))?.cluster;
        let user = pick(config.users, &context.user).ok_or_else(|| format!("it has no user `{}`", context.user))?.user;
        let (host, port) = split_server(&cluster.server)?;
        let data = |what: &str, data: Option<String>, file: Option<PathBuf>| match (data, file) {
            (Some(data), _) => STANDARD.decode(data.trim()).map_err(|_| format!("{what} is not base64")),
            (None, Some(file)) => {
                let file = dir.join(file);
                std::fs::read(&file).map_err(|e| format!("{what} cannot be read: {}: {e}", file.display()))
            }
            (None, None) => Err(format!("it has no {what}: labimg talks to clusters by certificate only")),
        };
        Ok(Self {
            context: name,
            host,
            port,
            authorities: data(
                "certificate-authority-data",
                cluster.certificate_authority_data,
                cluster.certificate_authority,
            )?,
            certificate: data("client-certificate-data", user.certificate_data, user.certificate)?,
            key: data("client-key-data", user.key_data, user.key)?,
        })
    }
}

fn pick<T>(all: Vec<Named<T>>, name: &str) -> Option<T> {
    all.into_iter().find(|entry| entry.name == name).map(|entry| entry.value)
}

/// Host (IPv6 without brackets) and port of the API server's address.
fn split_server(server: &str) -> Result<(String, u16), String> {
    let bad = || format!("the server `{server}` is not an https address, such as https://master.local:6443");
    let url = reqwest::Url::parse(server).map_err(|_| bad())?;
    if url.scheme() != "https" || url.path().len() > 1 || url.query().is_some() || !url.username().is_empty() {
        return Err(bad());
    }
    let host = url.host_str().ok_or_else(bad)?;
    Ok((bare(host).to_owned(), url.port().unwrap_or(HTTPS)))
}

/// An IPv6 address without its brackets; anything else unchanged.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
