//! What a container registry says of an image, and the names of images.

#![no_main]

use labimg::containers::ImageName;
use labimg::containers::document::{self, Meaning};
use labimg_fuzz::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for architecture in ["arm64", "armhf"] {
        match document::read(text, architecture) {
            Ok(Meaning::Manifest(manifest)) => {
                let sizes = manifest.layers.iter().map(|layer| layer.size);
                assert!(sizes.fold(Some(manifest.config.size), |sum, size| sum?.checked_add(size)).is_some());
            }
            Ok(Meaning::Elsewhere(_)) => {}
            Err(error) => judge(&error, text),
        }
        if let Err(error) = document::check_config(text, architecture) {
            judge(&error, text);
        }
    }
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(name) = text.parse::<ImageName>()
    {
        assert_eq!(name.to_string(), text);
    }
});
