//! How a command reaches a cluster.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::Failure;
use super::report::Reporter;
use crate::kube::{self, Access, Address, Client, KubeError};
use crate::secrets;
use labimg_tree::progress::Progress;

/// Where the cluster is.
#[derive(Debug, Args)]
pub struct Reach {
    /// How to reach the cluster [default: the lab's kubeconfig]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Where the API server is, when not where the kubeconfig says; its certificate must be the kubeconfig's all the same
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<Address>,
}

impl Reach {
    /// The kubeconfig; with a warning when the lab's own certificates are about to end.
    ///
    /// # Errors
    /// As [`Access::read`].
    pub fn access(&self, lab: &Path, reporter: &Reporter) -> Result<Access, Failure> {
        let file = self.kubeconfig.clone().unwrap_or_else(|| lab.join("kubeconfig"));
        let access = Access::read(&file)?;
        // Of another cluster's certificates labimg cannot make others.
        if self.kubeconfig.is_none() {
            let now = jiff::Timestamp::now().as_second();
            for text in secrets::ending_soon(&access.certificate, &access.authorities, now) {
                reporter.warn(&text);
            }
            let certificate = std::fs::read(lab.join(secrets::AUTHORITY_FILE)).unwrap_or_default();
            if let Some(text) = secrets::authority_ending(&certificate, now) {
                reporter.warn(&text);
            }
        }
        Ok(access)
    }

    /// A client. The name is resolved each time: an address may change while the nodes start.
    ///
    /// # Errors
    /// Nobody answers to the name; a kubeconfig that cannot be used.
    pub fn client(&self, access: &Access) -> Result<Client, KubeError> {
        let (host, port) = match &self.server {
            Some(server) => (server.host.as_str(), server.port),
            None => (access.host.as_str(), access.port),
        };
        Client::new(access, &kube::find(host)?, port)
    }
}
