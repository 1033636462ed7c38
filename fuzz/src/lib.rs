//! What all targets share.

use labimg_testkit::words::in_words;
use labimg_tree::fault::{Fault, whole};

/// An error, its causes and its help are in words, not as a library prints its types.
pub fn judge(error: &dyn Fault, given: impl AsRef<[u8]>) {
    let given = String::from_utf8_lossy(given.as_ref());
    for said in std::iter::once(whole(error)).chain(error.help()) {
        assert!(!in_words(&said, &given).is_empty());
    }
}
