//! Whether this computer can boot nodes natively.

use std::process::Command;
use std::sync::OnceLock;

use super::leftovers;

/// Programs that the harness calls, each with its Debian package.
const TOOLS: [(&str, &str); 12] = [
    ("systemd-nspawn", "systemd-container"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
    ("dnsmasq", "dnsmasq-base"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("mcopy", "mtools"),
    ("sfdisk", "fdisk"),
    ("e2fsck", "e2fsprogs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("perl", "perl-base"),
];

/// A small trial of what a machine needs from the host: a bridge in a namespace, a loop mount in another one, and the
/// right to create control groups.
const TRIAL: &str = r#"
    ip link add br0 type bridge
    ip link add port type veth peer name other
    truncate -s 4M "$1/disk"
    mkfs.ext4 -q -F "$1/disk"
    mkdir "$1/tree"
    mount -o loop "$1/disk" "$1/tree"
    umount "$1/tree"
    for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
        [ ! -e "$hierarchy/cgroup.procs" ] || { mkdir "$hierarchy/$2" && rmdir "$hierarchy/$2" && groups=yes; }
    done
    [ "${groups-}" = yes ] || { echo "no control groups at /sys/fs/cgroup" >&2; exit 1; }
"#;

/// Checks once, and removes what finished tests left behind.
///
/// # Errors
/// What this computer lacks or does not allow.
pub fn able() -> Result<(), String> {
    static ABLE: OnceLock<Result<(), String>> = OnceLock::new();
    ABLE.get_or_init(|| {
        look()?;
        leftovers::sweep();
        Ok(())
    })
    .clone()
}

fn look() -> Result<(), String> {
    if !rustix::process::getuid().is_root() {
        return Err("only root may make namespaces, loop devices and control groups".to_owned());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let there = |tool: &str| path.split(':').any(|folder| std::path::Path::new(folder).join(tool).exists());
    if let Some((tool, package)) = TOOLS.iter().find(|(tool, _)| !there(tool)) {
        return Err(format!("{tool} is missing: it is in Debian's package {package}"));
    }
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let namespaces = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let trial = Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-euc", TRIAL, "sh"])
        .arg(folder.path())
        .arg(leftovers::unique_name())
        .output()
        .map_err(|e| format!("unshare: {e}"))?;
    if trial.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&trial.stderr).trim().to_owned()) }
}
