//! Why no image was built.

use super::RenewError;
use crate::charts::ChartError;
use crate::containers::ContainerError;
use crate::k3s::K3sError;
use crate::layers::board::BoardError;
use crate::layers::k3s::K3sLayerError;
use crate::layers::overlay::OverlayError;
use crate::layers::units::UnitsError;
use crate::lock_file::LockFileError;
use crate::manifests::ManifestError;
use crate::seed::SeedError;
use crate::stack::check::CheckError;
use labimg_debian::configure::ConfigureError;
use labimg_debian::deb::DebError;
use labimg_debian::kernel::KernelError;
use labimg_debian::lock::LockError;
use labimg_debian::packages::PackagesError;
use labimg_disk::write::ImageError;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::TreeError;
use labimg_tree::fault::{Fault, FaultKind};

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each variant is the error of the module it is named after.
pub enum BuildError {
    #[error("--k3s first-boot leaves k3s to the internet, and `stack.airgap` is to do without")]
    Airgap,
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    LockFile(#[from] LockFileError),
    #[error(transparent)]
    Renew(#[from] RenewError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Deb(#[from] DebError),
    #[error(transparent)]
    Packages(#[from] PackagesError),
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    #[error(transparent)]
    Units(#[from] UnitsError),
    #[error(transparent)]
    K3s(#[from] K3sError),
    #[error(transparent)]
    Chart(#[from] ChartError),
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error(transparent)]
    K3sLayer(#[from] K3sLayerError),
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error("the node's own files cannot be written")]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("`user = \"{user}\"` in lab.toml: the image has a {what} of this name already")]
    User { user: String, what: &'static str },
    #[error("the image's identifiers cannot be made")]
    Ids(#[from] serde_json::Error),
}

impl Fault for BuildError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Lock(source) => source.kind(),
            Self::LockFile(source) => source.kind(),
            Self::Renew(source) => source.kind(),
            Self::Http(source) => source.kind(),
            Self::Store(source) => source.kind(),
            Self::Deb(source) => source.kind(),
            Self::Packages(source) => source.kind(),
            Self::Configure(source) => source.kind(),
            Self::Kernel(source) => source.kind(),
            Self::Board(source) => source.kind(),
            Self::Overlay(source) => source.kind(),
            Self::Units(source) => source.kind(),
            Self::K3s(source) => source.kind(),
            Self::Chart(source) => source.kind(),
            Self::Container(source) => source.kind(),
            Self::K3sLayer(source) => source.kind(),
            Self::Manifests(source) => source.kind(),
            Self::Check(source) => source.kind(),
            Self::Seed(source) => source.kind(),
            Self::Tree(source) => source.kind(),
            Self::Image(source) => source.kind(),
            Self::Airgap => FaultKind::Usage,
            Self::User { .. } => FaultKind::Configuration,
            Self::Ids(_) => FaultKind::Ours,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Lock(source) => source.help(),
            Self::LockFile(source) => source.help(),
            Self::Renew(source) => source.help(),
            Self::Http(source) => source.help(),
            Self::Store(source) => source.help(),
            Self::Deb(source) => source.help(),
            Self::Packages(source) => source.help(),
            Self::Configure(source) => source.help(),
            Self::Kernel(source) => source.help(),
            Self::Board(source) => source.help(),
            Self::Overlay(source) => source.help(),
            Self::Units(source) => source.help(),
            Self::K3s(source) => source.help(),
            Self::Chart(source) => source.help(),
            Self::Container(source) => source.help(),
            Self::K3sLayer(source) => source.help(),
            Self::Manifests(source) => source.help(),
            Self::Check(source) => source.help(),
            Self::Seed(source) => source.help(),
            Self::Tree(source) => source.help(),
            Self::Image(source) => source.help(),
            Self::Airgap => Some("leave --k3s out, or set `stack.airgap = false`".to_owned()),
            Self::User { .. } => Some("choose another name".to_owned()),
            Self::Ids(_) => None,
        }
    }
}
