//! The checksum file of a k3s release, as any server may send it.

#![no_main]

use labimg::k3s::sums;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(hash) = sums::find(text, "k3s-arm64") {
        // What is found stands in the text.
        assert!(text.to_ascii_lowercase().contains(&hash.to_string()));
    }
});
