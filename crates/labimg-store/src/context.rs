//! What is the same throughout a run.

use labimg_tree::progress::Progress;

use crate::Store;
use crate::http::Http;

/// What every step of a build needs: the cache, the network, and where progress is reported.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The cache.
    pub store: &'a Store,
    /// The network.
    pub http: &'a Http,
    /// Where progress is reported.
    pub progress: &'a dyn Progress,
}
