//! The index of a repository of Helm charts, as any server may send it.

#![no_main]

use labimg::charts::{ChartRef, index};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let chart = ChartRef { name: "c".into(), version: "1".into(), repository: "https://r.example".into() };
    if let Ok(found) = index::find(text, &chart) {
        assert!(found.url.contains("://"));
    }
});
