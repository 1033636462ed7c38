//! The checksum file of a k3s release, as any server may send it.

#![no_main]

use labimg::k3s::sums;
use labimg_fuzz::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match sums::find(text, "k3s-arm64") {
        // What is found stands in the text.
        Ok(hash) => assert!(text.to_ascii_lowercase().contains(&hash.to_string())),
        Err(error) => judge(&error, text),
    }
});
