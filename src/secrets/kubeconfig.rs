//! The kubeconfig with which the user's computer reaches the cluster (Kubernetes: "Organizing Cluster Access Using
//! kubeconfig Files", `v1.Config`).

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Secrets, SecretsError};
use crate::lab::{Lab, LabFolder, LabNode};
use labimg_tree::files;

/// Name of the file beside `lab.toml`.
pub const FILE: &str = "kubeconfig";

/// Port of the API server.
const PORT: u16 = 6443;

impl Secrets {
    /// The administrator's kubeconfig; `None` for a lab without a master. Always the same text.
    #[must_use]
    pub fn kubeconfig(&self, lab: &Lab) -> Option<String> {
        let host = api_host(lab.master()?);
        // A name such as `yes` or `007` would not be a string without quotes; JSON's quotes are valid YAML.
        let name = serde_json::Value::from(lab.name.as_str()).to_string();
        let user = serde_json::Value::from(format!("{}-admin", lab.name)).to_string();
        let (ca, certificate) = (STANDARD.encode(self.server_ca()), STANDARD.encode(&self.admin_certificate));
        let key = STANDARD.encode(self.admin_key.expose());
        Some(format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: {name}\n\
             \x20 cluster:\n\
             \x20   server: https://{host}:{PORT}\n\
             \x20   certificate-authority-data: {ca}\n\
             users:\n\
             - name: {user}\n\
             \x20 user:\n\
             \x20   client-certificate-data: {certificate}\n\
             \x20   client-key-data: {key}\n\
             contexts:\n\
             - name: {name}\n\
             \x20 context:\n\
             \x20   cluster: {name}\n\
             \x20   user: {user}\n\
             current-context: {name}\n"
        ))
    }

    /// Writes the kubeconfig beside `lab.toml`, readable only by its owner, and returns its path; `None` for a lab
    /// without a master.
    ///
    /// # Errors
    /// When the folder or file cannot be written.
    pub fn write_kubeconfig(&self, folder: &LabFolder) -> Result<Option<PathBuf>, SecretsError> {
        let Some(text) = self.kubeconfig(&folder.lab) else { return Ok(None) };
        let path = folder.dir.join(FILE);
        files::write_whole(&path, text.as_bytes(), 0o600, true).map_err(SecretsError::io("write", &path))?;
        Ok(Some(path))
    }
}

/// The API server's host: the master's fixed address if it has one, else its name.
fn api_host(master: &LabNode) -> String {
    match address(master) {
        Some(address) if address.contains(':') => format!("[{address}]"),
        Some(address) => address.to_owned(),
        None => format!("{}.local", master.name),
    }
}

/// The fixed address without its prefix length.
fn address(node: &LabNode) -> Option<&str> {
    node.address.as_deref().map(|address| address.split_once('/').map_or(address, |(address, _)| address))
}
