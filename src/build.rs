//! The whole way from a plan to an image: each arrow of the data flow called once, in order.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::deb::{self, DebError};
use crate::hash::Sha256;
use crate::image::manifest::Manifest;
use crate::image::{self, ImageError};
use crate::layers::board::{self as board_layer, BoardError};
use crate::layers::configure::{self, ConfigureError};
use crate::layers::kernel::{self, KernelError};
use crate::layers::node::{self, Node};
use crate::layers::overlay::{self, OverlayError};
use crate::layers::packages::{self, PackagesError};
use crate::lock::{self, Lock, LockError, LockRequest};
use crate::plan::Plan;
use crate::report::{Reporter, Unit};
use crate::store::http::Http;
use crate::store::{Request, Store, StoreError};
use crate::tree::{Tree, TreeError};

/// What a build needs beyond the plan.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Where the image goes.
    pub out: PathBuf,
    /// The cache's folder.
    pub cache: PathBuf,
    /// Where packages come from.
    pub mirror: lock::mirror::Mirror,
    /// Further key files that may sign the archive.
    pub keyrings: Vec<PathBuf>,
    /// How many downloads at once.
    pub jobs: usize,
    /// The clock, seconds since 1970: signatures are checked against it; nothing in the image depends on it.
    pub now: i64,
}
