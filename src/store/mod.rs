//! Content-addressed cache of verified blobs ([`Lock`](crate::lock::Lock) → [`Store`]).

pub mod http;
