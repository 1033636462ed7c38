//! Random choices that can be repeated with a seed.

use std::time::{SystemTime, UNIX_EPOCH};

/// A random number generator (Marsaglia, "Xorshift RNGs").
pub struct Random(u64);

impl Random {
    /// Starts from a seed other than 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `end`, exclusive.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The seed from `LABIMG_TEST_SEED`, else a new one.
pub fn seed() -> u64 {
    match std::env::var("LABIMG_TEST_SEED") {
        Ok(text) => text.parse().expect("LABIMG_TEST_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() | 1,
    }
}

/// Whether the test runs under `scripts/test --long`: then random tests try many more points. Without it the variable
/// is set but empty.
pub fn long() -> bool {
    std::env::var_os("LABIMG_TEST_LONG").is_some_and(|long| !long.is_empty())
}
