//! Other programs that check what labimg makes, or that make what it reads.
#![allow(clippy::print_stderr, reason = "a test that is left out says so")]

/// True when one of these programs is not installed: then a plain `cargo test` skips the test and says so. scripts/test
/// installs all of them and sets `LABIMG_TEST_JUDGES`: then a missing one is a failure.
///
/// # Panics
/// When one is missing although `LABIMG_TEST_JUDGES` is set.
#[must_use]
pub fn missing(programs: &[&str]) -> bool {
    let lacking: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if lacking.is_empty() {
        return false;
    }
    assert!(std::env::var_os("LABIMG_TEST_JUDGES").is_none(), "not installed, but needed by this test: {lacking:?}");
    eprintln!("left out for want of {lacking:?}: scripts/test installs what is missing and runs this test");
    true
}

/// True when a program is not installed that not every distribution has: `what` is then reported as skipped.
#[must_use]
pub fn absent(program: &str, what: &str) -> bool {
    let is_absent = !is_there(program);
    if is_absent {
        crate::skipped(what, &format!("{program} is not installed"));
    }
    is_absent
}

fn is_there(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).exists())
}
