//! What this machine does not let a test do.

/// Says it; scripts/test lists what stands in the file that `LABIMG_TEST_SKIPPED` names.
pub fn skipped(what: &str, why: &str) {
    let line = format!("{what}: this machine does not let the test do it ({})", why.trim().replace('\n', " "));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("LABIMG_TEST_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }
}
