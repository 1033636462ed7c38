//! `labimg.lock`, which travels with a lab: what is taken must be written and read again the same.

#![no_main]

use std::path::Path;

use labimg::lock_file::LockFile;
use labimg_fuzz::judge;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match LockFile::parse(text, Path::new("labimg.lock")) {
        Ok(file) => {
            let written = file.to_text().expect("a lock is a table");
            assert_eq!(LockFile::parse(&written, Path::new("labimg.lock")).expect("just written"), file);
            assert!(file.changes(&file).is_empty());
        }
        Err(error) => judge(&error, text),
    }
});
