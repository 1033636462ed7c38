//! Random choices that a seed repeats.

use std::time::{SystemTime, UNIX_EPOCH};

/// Random numbers (Marsaglia, "Xorshift RNGs").
pub struct Random(u64);

impl Random {
    /// Those of a seed that is not 0.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 up to, without, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The seed that `LABIMG_TEST_SEED` gives, else a new one.
pub fn seed() -> u64 {
    match std::env::var("LABIMG_TEST_SEED") {
        Ok(text) => text.parse().expect("LABIMG_TEST_SEED is a number"),
        Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() | 1,
    }
}

/// Whether `scripts/test --long` runs the test: what is tried at random is tried at many more points. Without it the variable is
/// set and empty.
pub fn long() -> bool {
    std::env::var_os("LABIMG_TEST_LONG").is_some_and(|long| !long.is_empty())
}
