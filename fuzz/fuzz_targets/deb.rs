#![no_main]

use std::io::Write;

use labimg_debian::deb::{self, Deb};
use labimg_tree::Blob;
use labimg_fuzz::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (Ok(mut package), Ok(mut plain)) = (tempfile::NamedTempFile::new(), tempfile::NamedTempFile::new()) else {
        return;
    };
    if package.write_all(bytes).is_err() {
        return;
    }
    let plainly = deb::decompress(package.path(), plain.as_file_mut());
    if let Err(error) = &plainly {
        judge(error, bytes);
    }
    if plainly.is_ok() {
        // What was accepted must be readable again, and its contents must lie inside.
        let deb = Deb::from_plain(Blob::open(plain.path()).expect("just written")).expect("just accepted");
        for entry in &deb.entries {
            if let Some(content) = deb.content(entry) {
                content.to_vec().expect("inside the data archive");
            }
        }
    }
    // The plain form itself, as a damaged cache might have it.
    if let Ok(Err(error)) = Blob::open(package.path()).map(Deb::from_plain) {
        judge(&error, bytes);
    }
});
