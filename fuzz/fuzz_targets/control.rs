#![no_main]

use labimg_debian::deb822::Stanzas;
use labimg_debian::relation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for stanza in Stanzas::new(text).flatten() {
        for (_, value) in stanza.fields() {
            let Ok(groups) = relation::parse(value) else { continue };
            for one in groups.iter().flatten() {
                // What was read must read the same once written.
                assert_eq!(relation::one(&one.to_string()).as_ref(), Ok(one));
            }
        }
    }
});
