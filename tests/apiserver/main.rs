//! A real API server of Kubernetes takes what the profiles bring, and `labimg stack diff` and `apply` are right about it.
//!
//! `LABIMG_TEST_APISERVER` names the `kube-apiserver`; without it the one that `scripts/kube-apiserver` has built, by
//! `scripts/test --long`. Everything runs in a network of its own with nothing but a loopback device, since an API server calls
//! webhooks at whatever address they have.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic is how a test fails")]

mod changes;
mod lab;
mod profiles;
mod server;

use std::path::PathBuf;

use labimg_testkit::{is_isolated, judges, skipped};

/// The API server, when there is one; a test whose name is given runs again in a network of its own, where this gives it.
fn isolated(test: &str) -> Option<PathBuf> {
    let program = program()?;
    if judges::missing(&["etcd", "openssl"]) {
        return None;
    }
    is_isolated(test, &format!("API server: {test}")).then_some(program)
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("LABIMG_TEST_APISERVER").filter(|program| !program.is_empty()) {
        let program = PathBuf::from(program);
        assert!(program.exists(), "LABIMG_TEST_APISERVER: there is no {}", program.display());
        return Some(std::path::absolute(program).unwrap());
    }
    skipped(
        "an API server with the stack's objects",
        "LABIMG_TEST_APISERVER names none; scripts/test --long builds one",
    );
    None
}
