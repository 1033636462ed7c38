//! A folder that a script uses as the root, and the commands it finds there.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Commands that never really run: they would change this computer, or need something that it does not have. Each call
/// is recorded in `calls`.
const STAND_INS: &[(&str, &str)] = &[
    ("systemctl", "exit 0"),
    ("hostname", "exit 0"),
    ("mountpoint", "case $2 in */srv/labimg) exit 1 ;; esac; exit 0"),
    ("chown", "exit 0"),
    ("sync", "exit 0"),
    ("sleep", "exit 0"),
    ("partx", "exit 0"),
    // Only setting the clock is replaced.
    ("date", "case \"$*\" in *-s*) exit 0 ;; esac; exec /bin/date \"$@\""),
];

/// Commands that run for real, but through a wrapper, so that a run can be cut at them too.
const PASSED: &[&str] = &[
    "awk",
    "blkid",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "dd",
    "df",
    "flock",
    "fsck.ext4",
    "grep",
    "gzip",
    "ln",
    "ls",
    "mkdir",
    "mkfs.ext4",
    "mv",
    "od",
    "rm",
    "sed",
    "sfdisk",
    "sha256sum",
    "shred",
    "sort",
    "ssh-keygen",
    "stat",
    "tail",
    "tar",
    "tee",
    "touch",
    "tr",
    "truncate",
    "wc",
    "wipefs",
    "wpa_passphrase",
];

pub struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// With the overlays in place, as a node has them.
    pub fn new() -> Self {
        let root = Self { folder: tempfile::tempdir().unwrap() };
        for overlay in ["common", "master"] {
            let from = crate::overlays().join(overlay);
            for file in crate::files(&from) {
                let to = root.path().join(file.strip_prefix(&from).unwrap());
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(&file, &to).unwrap();
                let program = std::fs::read(&file).unwrap().starts_with(b"#!");
                std::fs::set_permissions(&to, PermissionsExt::from_mode(if program { 0o755 } else { 0o644 })).unwrap();
            }
        }
        for folder in ["boot/firmware", "etc/labimg", "home/lab", "run/labimg", "var/lib/labimg", "proc/sys/kernel"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        root.write("proc/sys/kernel/hostname", "worker\n");
        root.write("etc/hostname", "worker\n");
        root.write("etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\tworker\n");
        root.write("usr/lib/clock-epoch", "");
        for (name, text) in STAND_INS {
            root.stand_in(name, text);
        }
        for name in PASSED {
            let real = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(|f| Path::new(f).join(name));
            if let Some(real) = real.iter().find(|p| p.exists()) {
                root.stand_in(name, &format!("exec {} \"$@\"", real.display()));
            }
        }
        root
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        let bytes = std::fs::read(self.at(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn exists(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    pub fn mode(&self, path: &str) -> u32 {
        self.at(path).metadata().unwrap().permissions().mode() & 0o7777
    }

    /// Replaces a real command. The stand-in counts its calls, and kills the whole script with SIGKILL at the chosen
    /// command, like a power failure.
    pub fn stand_in(&self, name: &str, text: &str) {
        let script = format!(
            "#!/bin/sh\nprintf x >> \"$LABIMG_TEST/count\"\nprintf '%s\\n' \"{name} $*\" >> \"$LABIMG_TEST/calls\"\n\
             if [ -n \"$LABIMG_CUT\" ] && [ \"$(/usr/bin/stat -c %s \"$LABIMG_TEST/count\")\" -gt \"$LABIMG_CUT\" ]; then\n\
             kill -9 0\nfi\n{text}\n"
        );
        let path = format!("test-bin/{name}");
        self.write(&path, script);
        std::fs::set_permissions(self.at(&path), PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Lets a run be cut at a script of our own, too.
    pub fn count_script(&self, name: &str) {
        let script = format!("usr/lib/labimg/{name}");
        std::fs::rename(self.at(&script), self.at(&format!("{script}.real"))).unwrap();
        self.stand_in(name, &format!("exec \"$LABIMG_ROOT/{script}.real\" \"$@\""));
        std::os::unix::fs::symlink(self.at(&format!("test-bin/{name}")), self.at(&script)).unwrap();
    }

    /// Runs a script of the node to its end.
    pub fn run(&self, script: &str, arguments: &[&str]) -> Output {
        self.run_cut(script, arguments, None)
    }

    /// The same, with a power failure at the given command.
    pub fn run_cut(&self, script: &str, arguments: &[&str], cut: Option<usize>) -> Output {
        let _ = std::fs::remove_file(self.at("count"));
        Command::new(self.at("usr/lib/labimg").join(script))
            .args(arguments)
            .env("LABIMG_ROOT", self.path())
            .env("LABIMG_TEST", self.path())
            .env("LABIMG_CUT", cut.map_or_else(String::new, |n| n.to_string()))
            .env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", self.at("test-bin").display()))
            .process_group(0)
            .output()
            .unwrap_or_else(|e| panic!("{script}: {e}"))
    }

    /// How many commands the last run used.
    pub fn commands(&self) -> usize {
        std::fs::read(self.at("count")).map_or(0, |b| b.len())
    }

    /// The calls of stand-ins so far.
    pub fn calls(&self) -> String {
        std::fs::read_to_string(self.at("calls")).unwrap_or_default()
    }
}

/// The output of a script.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
