//! Lists the secrets without showing them.

use serde::Serialize;

use super::certificate;
use super::{Secrets, host_key};
use labimg_tree::hash::Sha256;

/// The kind of the lab's own certificate authority.
pub const LAB_AUTHORITY: &str = "the lab's own authority";

/// What may be shown of one secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Path below `secrets/`.
    pub name: String,
    /// What it is.
    pub kind: &'static str,
    /// Fingerprint of the public part: SHA-256 of the certificate's DER, or as shown by `ssh-keygen -l`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Last day of validity, as `2036-11-24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

impl Secrets {
    /// Names, fingerprints and last days of all secrets, but no secret.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let certificate = |name: String, kind, pem: &str| {
            let read = certificate::read(pem).ok();
            Listed {
                name,
                kind,
                fingerprint: read.as_ref().map(|read| Sha256::of(&read.der).to_string()),
                expires: read.map(|read| certificate::day(read.not_after)),
            }
        };
        let plain = |name: String, kind| Listed { name, kind, fingerprint: None, expires: None };
        let mut all: Vec<Listed> = Vec::new();
        for (name, pem) in &self.certificates {
            all.push(certificate(format!("{}/{name}", super::TLS), "certificate authority", pem));
        }
        all.push(plain(format!("{}/{}", super::TLS, certificate::SERVICE_KEY), "key of service accounts"));
        all.push(plain(format!("{}/{}", super::TOKENS, super::SERVER_TOKEN), "token of servers"));
        all.push(plain(format!("{}/{}", super::TOKENS, super::AGENT_TOKEN), "token of workers"));
        let admin = format!("{}/{}", super::ADMIN, super::CLIENT_CERTIFICATE);
        all.push(certificate(admin, "administrator's certificate", &self.admin_certificate));
        if let Some((pem, _)) = self.stack.authority() {
            all.push(certificate(format!("{}/ca", super::stack::GROUP), LAB_AUTHORITY, pem));
        }
        for name in self.stack.names() {
            all.push(plain(format!("{}/{name}", super::stack::GROUP), "password of the stack"));
        }
        if self.storage.is_some() {
            let name = format!("{}/{}", super::storage::GROUP, super::storage::FILE);
            all.push(plain(name, "UUID of the USB disk"));
        }
        for (node, secrets) in &self.nodes {
            all.push(plain(format!("{}/{node}/{}", super::NODES, super::PASSWORD), "k3s password of a node"));
            all.push(Listed {
                fingerprint: Some(host_key::fingerprint(&secrets.ssh_public)),
                ..plain(format!("{}/{node}/{}", super::HOST_KEYS, host_key::PRIVATE), "SSH host key")
            });
        }
        all
    }
}
