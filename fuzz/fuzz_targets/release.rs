#![no_main]

use labimg_debian::lock::release::Release;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(release) = Release::parse(text) {
        let _ = release.check("trixie", 1_750_000_000);
    }
});
