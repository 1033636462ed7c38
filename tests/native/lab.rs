//! The lab from which most tests flash their cards.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use labimg_testkit::checks::Image;
use labimg_testkit::native::{Lab, LabRequest, Tools, able};
use labimg_testkit::skipped;

/// A control plane of two and three workers.
pub const NODES: [(&str, &str); 5] =
    [("master", "master"), ("second", "server"), ("worker1", "worker"), ("worker2", "worker"), ("worker3", "worker")];

/// Whether this computer can boot natively; a skipped test says so.
pub fn ready(test: &str) -> bool {
    able().inspect_err(|why| skipped(&format!("native::{test}"), why)).is_ok()
}

/// The program under test, the board, and the stand-in for k3s.
pub fn tools() -> Tools {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = |name| std::env::var_os(name).map(PathBuf::from);
    Tools {
        program: named("LABIMG_TEST_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_labimg").into()),
        board: sources.join("tests/native/boards/container.toml"),
        k3s: named("LABIMG_TEST_STAND_IN").unwrap_or_else(|| sources.join("tests/boot/k3s-stand-in.sh")),
    }
}

/// Builds a lab with these nodes.
pub fn build(nodes: &[(&str, &str)]) -> Lab {
    Lab::build(&tools(), &LabRequest { nodes, ..LabRequest::default() })
}

/// The lab with [`NODES`], built once for all tests that run at the same time. No test changes it.
pub fn shared() -> Arc<Lab> {
    static SHARED: Mutex<Weak<Lab>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let lab = Arc::new(build(&NODES));
        *shared = Arc::downgrade(&lab);
        lab
    })
}

/// The facts about a node's image.
pub fn image(lab: &Lab, node: &str) -> Image {
    Image { hostname: node.to_owned(), date: lab.date(node), ports: lab.told_ports(node) }
}

/// The k3s unit on a node with this role.
pub fn unit(role: &str) -> &'static str {
    if role == "worker" { "k3s-agent.service" } else { "k3s.service" }
}
