//! A folder with files.

use tempfile::TempDir;

/// A folder for one test with these files: path → text.
pub fn folder<P: AsRef<str>>(files: &[(P, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path.as_ref());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}
