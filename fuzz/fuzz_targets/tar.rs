#![no_main]

use labimg_debian::deb::tar::{Entries, EntryKind, HeadersOnly, Whole};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for entry in Entries::new(Whole(bytes)).flatten() {
        if let EntryKind::File { offset, size } = entry.kind {
            assert!(offset + size <= bytes.len() as u64, "a content outside the archive");
        }
    }
    let _ = Entries::new(HeadersOnly(bytes)).count();
});
