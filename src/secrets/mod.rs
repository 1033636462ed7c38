//! A lab's secrets: created once, kept in `secrets/` beside `lab.toml`, and the same for every build ([`Lab`] →
//! [`Secrets`]).
//!
//! So a worker can verify the server that it joins even though that server never ran before, a reflashed node is still
//! the same node, and the kubeconfig works as soon as the API answers.
//!
//! | group | files |
//! |---|---|
//! | `tls/` | CAs and service account key, by the names that k3s looks for in `server/tls` |
//! | `tokens/` | passwords with which servers and workers join |
//! | `admin/` | the administrator's client certificate |
//! | `storage/` | UUID of the file system on the master's USB disk, where somebody wrote one |
//! | `stack/NAME/` | the certificate authority, passwords and keys of the stack's components |
//! | `nodes/NAME/` | the password by which k3s knows a node again |
//! | `host-keys/NAME/` | SSH host key of a node |
//! | `old-DATE/` | what [`rotate`] put away |

mod certificate;
mod error;
mod folder;
mod host_key;
mod kubeconfig;
mod list;
mod rotate;
mod sec1;
mod secret;
mod stack;
mod storage;

use std::collections::BTreeMap;
use std::path::Path;

use rand_core::{OsRng, RngCore};
use uuid::Uuid;

use crate::lab::Lab;
use certificate::{AUTHORITIES, CLIENT, SERVICE_KEY};
use folder::Folder;
use labimg_tree::hash::Sha256;

pub use error::SecretsError;
pub use list::{LAB_AUTHORITY, Listed};
pub use rotate::{Rotate, Rotation, renew_administrator, rotate, rotate_stack};
pub use secret::Secret;
pub use stack::{AUTHORITY_FILE, StackNames, StackSecrets};

/// Name of the folder beside `lab.toml`.
pub const FOLDER: &str = "secrets";

const TLS: &str = "tls";
const TOKENS: &str = "tokens";
const ADMIN: &str = "admin";
const NODES: &str = "nodes";
const HOST_KEYS: &str = "host-keys";
const SERVER_TOKEN: &str = "server";
const AGENT_TOKEN: &str = "agent";
const CLIENT_CERTIFICATE: &str = "client.crt";
const CLIENT_KEY: &str = "client.key";
const PASSWORD: &str = "password";

/// Length of the tokens' passwords in random bytes.
const TOKEN_BYTES: usize = 32;

/// Length of a node's password in random bytes; k3s itself uses as many.
const PASSWORD_BYTES: usize = 16;

/// All secrets of a lab, read and checked.
#[derive(Debug, Clone)]
pub struct Secrets {
    created: i64,
    /// Name below `server/tls`, certificate in PEM.
    certificates: Vec<(&'static str, String)>,
    /// Name below `server/tls`, key in PEM.
    keys: Vec<(&'static str, Secret)>,
    server_password: Secret,
    agent_password: Secret,
    admin_certificate: String,
    admin_until: i64,
    admin_key: Secret,
    storage: Option<Uuid>,
    nodes: BTreeMap<String, NodeSecrets>,
    stack: StackSecrets,
}

/// What only one node has.
#[derive(Debug, Clone)]
pub struct NodeSecrets {
    /// k3s's node password, 32 hexadecimal digits: `/etc/rancher/node/password`.
    pub password: Secret,
    /// SSH host key: `/etc/ssh/ssh_host_ed25519_key`.
    pub ssh_private: Secret,
    /// Its public line: `/etc/ssh/ssh_host_ed25519_key.pub`.
    pub ssh_public: String,
}

impl Secrets {
    /// Creates missing secrets of the lab in the folder `dir`, and reads all of them. `now`, in seconds since 1970, is
    /// the creation time of new certificates. Parallel runs wait for each other and get the same secrets.
    ///
    /// # Errors
    /// A folder or file that other users may read or that cannot be used, and files that are damaged, missing or too
    /// old. Existing secrets are never replaced.
    pub fn open(dir: &Path, lab: &Lab, now: i64) -> Result<Self, SecretsError> {
        for node in &lab.nodes {
            check_name(&node.name)?;
        }
        let folder = Folder::create(dir)?;
        complete(&folder, lab, now)?;
        Self::read(&folder, lab, now)
    }

    /// Reads the secrets in the folder `dir` without creating any; nodes without secrets are left out.
    ///
    /// # Errors
    /// As [`Secrets::open`]; [`SecretsError::None`] when there are none.
    pub fn open_existing(dir: &Path, lab: &Lab, now: i64) -> Result<Self, SecretsError> {
        let folder = Folder::open(dir)?;
        if !folder.has(TLS) {
            return Err(SecretsError::None(dir.to_owned()));
        }
        Self::read(&folder, lab, now)
    }

    fn read(folder: &Folder, lab: &Lab, now: i64) -> Result<Self, SecretsError> {
        let (mut certificates, mut keys) = (Vec::new(), Vec::new());
        for authority in &AUTHORITIES {
            let (pem, read) = read_certificate(folder, TLS, authority.certificate, now)?;
            let key = folder.read(TLS, authority.key)?;
            certificate::check_key(&key, &read).map_err(|why| folder.damaged(TLS, authority.key, why))?;
            certificates.push((authority.certificate, pem));
            keys.push((authority.key, Secret::new(key)));
        }
        let service = folder.read(TLS, SERVICE_KEY)?;
        sec1::check(&service).map_err(|why| folder.damaged(TLS, SERVICE_KEY, why))?;
        keys.push((SERVICE_KEY, Secret::new(service)));

        // When it has ended, cards can be made all the same.
        let (admin_certificate, admin) = read_certificate(folder, ADMIN, CLIENT_CERTIFICATE, i64::MIN)?;
        let admin_key = folder.read(ADMIN, CLIENT_KEY)?;
        certificate::check_key(&admin_key, &admin).map_err(|why| folder.damaged(ADMIN, CLIENT_KEY, why))?;
        let (_, client_ca) = read_certificate(folder, TLS, CLIENT.certificate, now)?;
        certificate::check_signature(&admin, &client_ca)
            .map_err(|why| folder.damaged(ADMIN, CLIENT_CERTIFICATE, why))?;
        let mut nodes = BTreeMap::new();
        for node in &lab.nodes {
            check_name(&node.name)?;
            let (password, keys) = (format!("{NODES}/{}", node.name), format!("{HOST_KEYS}/{}", node.name));
            if !folder.has(&password) || !folder.has(&keys) {
                continue;
            }
            let secrets = NodeSecrets {
                password: read_hex(folder, &password, PASSWORD, PASSWORD_BYTES)?,
                ssh_private: Secret::new(folder.read(&keys, host_key::PRIVATE)?),
                ssh_public: folder.read(&keys, host_key::PUBLIC)?,
            };
            host_key::check(secrets.ssh_private.expose(), &secrets.ssh_public)
                .map_err(|(file, why)| folder.damaged(&keys, file, why))?;
            nodes.insert(node.name.clone(), secrets);
        }
        Ok(Self {
            created: client_ca.created(),
            certificates,
            keys,
            server_password: read_hex(folder, TOKENS, SERVER_TOKEN, TOKEN_BYTES)?,
            agent_password: read_hex(folder, TOKENS, AGENT_TOKEN, TOKEN_BYTES)?,
            admin_certificate,
            admin_until: admin.not_after,
            admin_key: Secret::new(admin_key),
            storage: storage::read(folder)?,
            nodes,
            stack: StackSecrets::default(),
        })
    }

    /// When the cluster's CAs were created, in seconds since 1970.
    #[must_use]
    pub fn created(&self) -> i64 {
        self.created
    }

    /// What to say of a kubeconfig that ends soon, or has ended.
    #[must_use]
    pub fn ending(&self, now: i64) -> Option<String> {
        ending(self.admin_until, now)
    }

    /// The last day of the administrator's certificate, as `2027-11-24`.
    #[must_use]
    pub fn administrators_last_day(&self) -> String {
        certificate::day(self.admin_until)
    }

    /// The full token for servers, `K10<hash of the server CA>::server:<password>`: with it a node verifies the server
    /// before it sends the password.
    #[must_use]
    pub fn server_token(&self) -> String {
        format!("K10{}::server:{}", self.ca_hash(), self.server_password.expose())
    }

    /// The full token for workers. It only lets workers join, not servers.
    #[must_use]
    pub fn join_token(&self) -> String {
        format!("K10{}::node:{}", self.ca_hash(), self.agent_password.expose())
    }

    /// Only the workers' password, for the servers' setting `agent-token`.
    #[must_use]
    pub fn agent_password(&self) -> &str {
        self.agent_password.expose()
    }

    /// CAs with their keys, and the service account key: path below `server/tls`, content.
    #[must_use]
    pub fn cluster_ca_files(&self) -> Vec<(String, Vec<u8>)> {
        let certificates = self.certificates.iter().map(|(name, pem)| (*name, pem.as_bytes()));
        let keys = self.keys.iter().map(|(name, pem)| (*name, pem.expose().as_bytes()));
        let mut files: Vec<_> = certificates.chain(keys).map(|(name, pem)| (name.to_owned(), pem.to_vec())).collect();
        files.sort();
        files
    }

    /// UUID of the file system on the USB disk of this master; `None` for a node that has no secrets.
    #[must_use]
    pub fn storage_uuid(&self, master: &str) -> Option<Uuid> {
        self.storage.or_else(|| self.node(master).map(|own| storage::derive(&own.password)))
    }

    /// What only this node has; `None` for a node that is not in the lab.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeSecrets> {
        self.nodes.get(name)
    }

    /// The CA of the API server, in PEM.
    fn server_ca(&self) -> &str {
        self.certificates.first().map_or("", |(_, pem)| pem)
    }

    /// k3s hashes the file unchanged when it holds a single CA.
    fn ca_hash(&self) -> Sha256 {
        Sha256::of(self.server_ca())
    }
}

/// How long before its end a kubeconfig is warned of, in seconds.
const SOON: i64 = 60 * 24 * 60 * 60;

/// The same for certificate authorities: with new ones a cluster begins afresh.
const SOON_OF_CA: i64 = 365 * 24 * 60 * 60;

fn ending(until: i64, now: i64) -> Option<String> {
    let verb = if until <= now { "was" } else { "is" };
    (until.saturating_sub(now) < SOON).then(|| {
        let day = certificate::day(until);
        format!("the kubeconfig {verb} valid until {day} only: `labimg secrets kubeconfig` makes another")
    })
}

/// What to say of the certificates in a kubeconfig, in PEM, that end soon or have ended: the user's own, and that of the
/// cluster's authority.
#[must_use]
pub fn ending_soon(certificate: &[u8], authority: &[u8], now: i64) -> Vec<String> {
    let of_user = certificate::last_second(certificate).and_then(|until| ending(until, now));
    let of_ca = certificate::last_second(authority).filter(|until| until.saturating_sub(now) < SOON_OF_CA);
    let of_ca = of_ca.map(|until| {
        format!(
            "the cluster's certificate authorities are valid until {} only: `labimg secrets rotate --certificates` makes \
             others, with which the cluster begins afresh",
            certificate::day(until)
        )
    });
    of_user.into_iter().chain(of_ca).collect()
}

/// What to say of the lab's own certificate authority, in PEM, that ends soon or has ended.
#[must_use]
pub fn authority_ending(certificate: &[u8], now: i64) -> Option<String> {
    let until = certificate::last_second(certificate).filter(|until| until.saturating_sub(now) < SOON_OF_CA)?;
    Some(format!(
        "the lab's own certificate authority is valid until {} only: put secrets/stack/ca away, and `labimg build` makes \
         another, which every computer has to trust anew",
        certificate::day(until)
    ))
}

/// Creates missing secrets.
fn complete(folder: &Folder, lab: &Lab, now: i64) -> Result<(), SecretsError> {
    folder.group(TLS, || certificate::authorities(now))?;
    folder.group(TOKENS, || Ok(vec![(SERVER_TOKEN, hex_line(TOKEN_BYTES)?), (AGENT_TOKEN, hex_line(TOKEN_BYTES)?)]))?;
    folder.group(ADMIN, || {
        let ca_key = folder.read(TLS, CLIENT.key)?;
        let ca = certificate::read(&folder.read(TLS, CLIENT.certificate)?)
            .map_err(|why| folder.damaged(TLS, CLIENT.certificate, why))?;
        let (certificate, key) = certificate::administrator(now, &ca, &ca_key)?;
        Ok(vec![(CLIENT_CERTIFICATE, certificate.into_bytes()), (CLIENT_KEY, key.into_bytes())])
    })?;
    for node in &lab.nodes {
        folder.group(&format!("{NODES}/{}", node.name), || Ok(vec![(PASSWORD, hex_line(PASSWORD_BYTES)?)]))?;
        folder.group(&format!("{HOST_KEYS}/{}", node.name), || {
            let (private, public) = host_key::generate(&node.name)?;
            Ok(vec![(host_key::PRIVATE, private.into_bytes()), (host_key::PUBLIC, public.into_bytes())])
        })?;
    }
    Ok(())
}

/// Names become folders: a DNS label (RFC 1123) cannot lead out of the folder.
fn check_name(name: &str) -> Result<(), SecretsError> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&name.len()) && name.bytes().all(good) && !name.starts_with('-') {
        return Ok(());
    }
    Err(SecretsError::NodeName(name.to_owned()))
}

fn hex_line(bytes: usize) -> Result<Vec<u8>, SecretsError> {
    let mut random = vec![0; bytes];
    OsRng.try_fill_bytes(&mut random).map_err(SecretsError::make("a password"))?;
    let hex: String = random.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("{hex}\n").into_bytes())
}

fn read_hex(folder: &Folder, group: &str, name: &str, bytes: usize) -> Result<Secret, SecretsError> {
    let text = folder.read(group, name)?;
    let hex = text.trim_end_matches('\n');
    if hex.len() != 2 * bytes || !hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return Err(folder.damaged(group, name, format!("it is not {} hexadecimal digits", 2 * bytes)));
    }
    Ok(Secret::new(hex))
}

fn read_certificate(
    folder: &Folder,
    group: &str,
    name: &str,
    now: i64,
) -> Result<(String, certificate::Read), SecretsError> {
    let pem = folder.read(group, name)?;
    let read = certificate::read(&pem).map_err(|why| folder.damaged(group, name, why))?;
    if read.not_after <= now {
        let until = certificate::day(read.not_after);
        return Err(SecretsError::Expired { path: folder.path(group).join(name), until });
    }
    Ok((pem, read))
}

#[cfg(test)]
mod tests;
