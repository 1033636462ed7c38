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
use labimg_debian::configure::ConfigureError;
use labimg_debian::deb::DebError;
use labimg_debian::kernel::KernelError;
use labimg_debian::lock::LockError;
use labimg_debian::packages::PackagesError;
use labimg_disk::write::ImageError;
use labimg_store::StoreError;
use labimg_store::http::HttpError;
use labimg_tree::TreeError;

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each variant is the error of the module it is named after.
pub enum BuildError {
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
    Seed(#[from] SeedError),
    #[error("the node's own files: {0}")]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the identifiers of the image: {0}")]
    Ids(#[from] serde_json::Error),
}
