#![no_main]

use labimg_debian::version::compare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|versions: (&str, &str, &str)| {
    let (a, b, c) = versions;
    assert_eq!(compare(a, b), compare(b, a).reverse());
    if compare(a, b).is_le() && compare(b, c).is_le() {
        assert!(compare(a, c).is_le());
    }
});
