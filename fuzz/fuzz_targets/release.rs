#![no_main]

use labimg_debian::lock::release::Release;
use labimg_fuzz::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let checked = Release::parse(text).and_then(|release| release.check("trixie", 1_750_000_000));
    if let Err(error) = checked {
        judge(&error, text);
    }
});
