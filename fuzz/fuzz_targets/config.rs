//! `config.txt` as the board's firmware reads it: whatever a person wrote there must not stop us.

#![no_main]

use labimg::boot::config_txt::ConfigTxt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let filters = ["pi3".to_owned()];
    let config = ConfigTxt::parse(text, &filters);
    // What is kept is a part of what was given.
    assert!(config.initramfs.iter().map(String::len).sum::<usize>() <= text.len());
    assert!(ConfigTxt::too_long(text).len() <= text.len() / 98);
});
