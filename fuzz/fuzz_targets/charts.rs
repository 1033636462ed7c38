//! The index of a repository of Helm charts, as any server may send it.

#![no_main]

use labimg::charts::{ChartRef, index};
use labimg_fuzz::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let chart = ChartRef { name: "c".into(), version: "1".into(), repository: "https://r.example".into() };
    match index::find(text, &chart) {
        Ok(found) => assert!(found.url.contains("://")),
        Err(error) => judge(&error, text),
    }
});
