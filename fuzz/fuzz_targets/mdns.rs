//! An mDNS answer, as anyone in the local network can send it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for address in labimg::kube::parse_answer(data, "master.local") {
        assert!(!address.to_string().is_empty());
    }
});
