//! What is the same throughout a run.

use labimg_tree::progress::Progress;

use crate::Store;
use crate::http::Http;

/// Where inputs are kept, how they are fetched, and where progress is told.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The cache.
    pub store: &'a Store,
    /// The network.
    pub http: &'a Http,
    /// Where progress is told.
    pub progress: &'a dyn Progress,
}
