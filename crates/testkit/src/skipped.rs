//! Reports what a test cannot do on this machine.

/// Reports a skipped test; scripts/test lists the lines of the file named by `LABIMG_TEST_SKIPPED`.
pub fn skipped(what: &str, why: &str) {
    let line = format!("{what}: this machine does not let the test do it ({})", why.trim().replace('\n', " "));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("LABIMG_TEST_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).unwrap();
    }
}
