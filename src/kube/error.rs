//! How far the connection to the API got, and what to do about it.

use std::path::PathBuf;

use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;

/// Why the API could not be queried.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The kubeconfig cannot be used.
    #[error("{}: {why}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        help: Option<&'static str>,
        /// The error of reading it.
        source: Option<std::io::Error>,
    },
    /// The name cannot be resolved.
    #[error("nobody answers to the name `{host}`")]
    NameNotFound {
        /// The master's name.
        host: String,
    },
    /// No connection.
    #[error("`{host}` is at {address}, but {why}")]
    Unreachable {
        /// The master's name.
        host: String,
        /// The addresses that were tried.
        address: String,
        /// The network error.
        why: String,
    },
    /// Another server answers, or one with the wrong certificate.
    #[error("`{host}` answers, but is not trusted: {why}")]
    Tls {
        /// The master's name.
        host: String,
        /// What is wrong.
        why: String,
        /// What to do.
        help: Option<&'static str>,
    },
    /// HTTP status 401.
    #[error("`{host}` does not know the certificate in the kubeconfig (401)")]
    Unauthorized {
        /// The master's name.
        host: String,
    },
    /// HTTP status 403.
    #[error("`{host}` does not allow the kubeconfig's user to read {path} (403)")]
    Forbidden {
        /// The master's name.
        host: String,
        /// The requested path.
        path: String,
    },
    /// The API is running but not ready.
    #[error("`{host}` answers {status}: the API is starting")]
    Starting {
        /// The master's name.
        host: String,
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not as expected.
    #[error("`{host}` answered {path} with {what}")]
    Answer {
        /// The master's name.
        host: String,
        /// The requested path.
        path: String,
        /// The answer.
        what: String,
    },
    /// The client cannot be set up.
    #[error("cannot set up the connection: {0}")]
    Setup(String),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Fault for KubeError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Kubeconfig { .. } => FaultKind::Configuration,
            Self::NameNotFound { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Starting { .. }
            | Self::Answer { .. }
            | Self::Setup(_) => FaultKind::World,
            Self::Interrupted(_) => FaultKind::Interrupted,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Kubeconfig { help, .. } | Self::Tls { help, .. } => return help.map(str::to_owned),
            Self::NameNotFound { .. } => {
                "is the master on, and in this network? The first boot takes some minutes.\n\
                 A `.local` name does not pass a router: then give its address with --server"
            }
            Self::Unreachable { .. } => "k3s may not have started yet; the boot report on its card tells more",
            Self::Unauthorized { .. } => {
                "its card was made with other secrets: flash it again, or use the kubeconfig that belongs to it"
            }
            Self::Forbidden { .. } => "use the administrator's kubeconfig",
            Self::Starting { .. } => "wait a little, or use --wait",
            Self::Answer { .. } => "is this a Kubernetes API?",
            Self::Setup(_) | Self::Interrupted(_) => return None,
        };
        Some(help.to_owned())
    }
}

/// How long waiting may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Normal while a cluster starts.
    Long,
    /// It may pass within a minute.
    Short,
    /// Never.
    None,
}

impl KubeError {
    /// How long waiting may help.
    #[must_use]
    pub fn patience(&self) -> Patience {
        match self {
            Self::NameNotFound { .. } | Self::Unreachable { .. } | Self::Starting { .. } => Patience::Long,
            // k3s answers 401 until its API server is up, and creates its certificate when it starts.
            Self::Tls { .. } | Self::Unauthorized { .. } | Self::Forbidden { .. } | Self::Answer { .. } => {
                Patience::Short
            }
            Self::Kubeconfig { .. } | Self::Setup(_) | Self::Interrupted(_) => Patience::None,
        }
    }

    /// The stage in one word, for programs.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        match self {
            Self::Kubeconfig { .. } => "kubeconfig",
            Self::NameNotFound { .. } => "name",
            Self::Unreachable { .. } => "connection",
            Self::Tls { .. } => "certificate",
            Self::Unauthorized { .. } | Self::Forbidden { .. } => "access",
            Self::Starting { .. } => "starting",
            Self::Answer { .. } => "answer",
            Self::Setup(_) => "setup",
            Self::Interrupted(_) => "interrupted",
        }
    }
}
