//! The same lock on another computer, as far as one computer can imitate another.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::locked::Locked;
use crate::{fails, same, succeeds};
use labimg_testkit::http_server::dead_url;
use labimg_testkit::skipped;

/// An unprivileged uid.
const OTHER: &str = "65534";

/// `labimg`, a copy below `place`, run as another user, on one processor, with another umask, more than a year in the
/// future.
fn elsewhere(place: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", OTHER, "--regid", OTHER, "--clear-groups", "--inh-caps=-all", "taskset"]);
        command
    } else {
        skipped("an image built as another user", "it is not run as root");
        Command::new("taskset")
    };
    // The shell sets the umask of the process.
    command.args(["--cpu-list", "0", "sh", "-c", "umask 077; exec \"$@\"", "sh", "faketime", "-f", "+400d"]);
    command.arg(place.join("labimg")).current_dir(place);
    command.env_clear().envs([
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
        ("TZ", "America/St_Johns"),
        // Timeouts still use the real clock.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    command
}

#[test]
fn another_user_on_another_day_gets_the_same_bytes() {
    let locked = Locked::new();
    let (mut command, first) = locked.build("first.img");
    succeeds(&mut command);

    // A folder that every user can reach.
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let place = place.path();
    std::fs::set_permissions(place, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_labimg"), place.join("labimg")).unwrap();
    for (from, to) in [(&locked.cache, "store"), (&locked.dir, "home")] {
        succeeds(Command::new("cp").arg("-r").arg(from).arg(place.join(to)));
    }
    std::fs::create_dir(place.join("out")).unwrap();
    if rustix::process::geteuid().is_root() {
        succeeds(
            Command::new("chown")
                .args(["-R", &format!("{OTHER}:{OTHER}")])
                .args(["store", "home", "out"].map(|folder| place.join(folder))),
        );
    }
    let build = |locked: bool| {
        let mut command = elsewhere(place);
        command.args(["build", "worker", "--generic", "--lab", "home", "--cache", "store", "-o", "out/second.img"]);
        if locked {
            command.args(["--locked", "--snapshots", &dead_url("")]);
        }
        command
    };
    let dead = format!("{},{}", dead_url("/debian"), dead_url("/debian-security"));
    succeeds(build(true).args(["--mirror", &dead]));
    same(&first, &place.join("out/second.img"));
    let json = |image: &Path| std::fs::read_to_string(format!("{}.json", image.display())).unwrap();
    assert_eq!(json(&first), json(&place.join("out/second.img")));

    // The date really is another one: the mirror's current release has expired then.
    fails(build(false).args(["--mirror", &crate::mirror_of(&locked.bench.server)]), 1, &["it expired on"]);
}
