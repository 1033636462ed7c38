//! What a test creates outside its namespaces: control groups and a folder. Both have the test's process id in their
//! names, so that leftovers of a killed test are recognised.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::processes;

const PREFIX: &str = "labimg-native-";

/// Where control groups are created: systemd's own hierarchy and the unified one beside the others, or only the unified
/// one.
const HIERARCHIES: [&str; 3] = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// A name that no other test has.
pub fn unique_name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{PREFIX}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Removes the leftovers of tests whose processes are gone.
pub fn sweep() {
    let folders = [std::env::temp_dir()].into_iter().chain(HIERARCHIES.map(PathBuf::from));
    for entry in folders.filter_map(|f| f.read_dir().ok()).flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse().ok()) else {
            continue;
        };
        if processes::exists(owner) {
            continue;
        }
        eprintln!("{} is left of a test that was ended: removing it", entry.path().display());
        if entry.path().starts_with("/sys/fs/cgroup") {
            remove_group(&entry.path());
        } else {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the control group with this name from all hierarchies.
pub fn remove_groups(name: &str) {
    for hierarchy in HIERARCHIES {
        remove_group(&Path::new(hierarchy).join(name));
    }
}

/// Kills its processes and removes it.
fn remove_group(group: &Path) {
    let begun = Instant::now();
    while group.exists() && begun.elapsed() < Duration::from_secs(10) {
        remove_below(group);
        if group.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Tries once; a group whose processes are still exiting cannot be removed yet.
fn remove_below(group: &Path) {
    for below in group.read_dir().into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|t| t.is_dir()) {
            remove_below(&below.path());
        }
    }
    for pid in std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().lines() {
        processes::kill(pid.parse().unwrap_or_default());
    }
    let _ = std::fs::remove_dir(group);
}
