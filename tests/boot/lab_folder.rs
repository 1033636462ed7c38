//! A lab folder with a `lab.toml`, its images as `labimg build` makes them, and their disks.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::node::{Node, labimg, partition_starts};
use crate::router::Router;
use labimg_testkit::command::succeed;

/// The program that stands in for k3s; another folder when scripts/test copied it.
pub fn stand_in() -> PathBuf {
    std::env::var_os("LABIMG_TEST_STAND_IN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boot/k3s-stand-in.sh"), PathBuf::from)
}

/// A real k3s for the test, when there is one.
pub fn real_k3s() -> Option<PathBuf> {
    std::env::var_os("LABIMG_TEST_K3S").map(PathBuf::from)
}

/// A folder with a built lab.
pub struct LabFolder {
    folder: tempfile::TempDir,
    test: String,
    k3s: PathBuf,
}

impl LabFolder {
    /// Writes a `lab.toml` with these nodes (name, role) of board `virt`, and builds their images. `k3s` is put into them;
    /// `files` are further ones of the folder.
    pub fn build(
        nodes: &[(&str, &str)],
        settings: &str,
        k3s: &Path,
        packages: &[&str],
        files: &[(&str, &str)],
    ) -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap(), test: test_name(), k3s: k3s.to_path_buf() };
        let key = lab.key();
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let mut text = format!("name = \"lab\"\nssh_keys = [\"{}\"]\n", key.with_extension("pub").display());
        if !packages.is_empty() {
            text += &format!("packages = {packages:?}\n");
        }
        text += settings;
        for (name, role) in nodes {
            text += &format!("\n[[nodes]]\nname = \"{name}\"\nrole = \"{role}\"\nboard = \"virt\"\n");
        }
        std::fs::write(lab.path("lab.toml"), text).unwrap();
        for (path, text) in files {
            let path = lab.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        lab.rebuild(&[]);
        lab
    }

    /// The same with the stand-in for k3s.
    pub fn with_stand_in(nodes: &[(&str, &str)], settings: &str) -> Self {
        Self::build(nodes, settings, &stand_in(), &[], &[])
    }

    /// The same, built once for all tests of a run when scripts/test says where: the images, the keys and `secrets/` are those
    /// of the others, the disks are not.
    pub fn shared(nodes: &[(&str, &str)]) -> Self {
        let Some(images) = std::env::var_os("LABIMG_TEST_IMAGES").map(PathBuf::from) else {
            return Self::with_stand_in(nodes, "");
        };
        let name = nodes.iter().map(|(name, _)| *name).collect::<Vec<_>>().join("-");
        // Whoever comes while another one builds waits.
        let lock = std::fs::File::create(images.join(format!("{name}.lock"))).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
        let place = images.join(format!("{name}.path"));
        if !place.exists() {
            let built = Self::with_stand_in(nodes, "").folder.keep();
            std::fs::write(&place, built.to_str().unwrap()).unwrap();
        }
        let shared = std::fs::read_to_string(&place).unwrap();
        let lab = Self { folder: tempfile::tempdir().unwrap(), test: test_name(), k3s: stand_in() };
        for entry in std::fs::read_dir(shared).unwrap() {
            let entry = entry.unwrap();
            std::os::unix::fs::symlink(entry.path(), lab.path(entry.file_name().to_str().unwrap())).unwrap();
        }
        lab
    }

    /// Builds these nodes (all when empty) once more, as before a card is flashed anew.
    pub fn rebuild(&self, nodes: &[&str]) {
        let mut command = Command::new(labimg());
        command.current_dir(self.folder.path()).arg("build").args(nodes).arg("--k3s-bin").arg(&self.k3s);
        succeed(&mut command);
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A node's SSH host key, as `secrets/` keeps it.
    pub fn host_key(&self, node: &str) -> String {
        let path = self.path(&format!("secrets/host-keys/{node}/ssh_host_ed25519_key.pub"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The key that may log in.
    pub fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// A node's image.
    pub fn image(&self, node: &str) -> PathBuf {
        self.path(&format!("{node}-virt.img"))
    }

    /// A node's disk, as it was left.
    pub fn disk(&self, node: &str) -> PathBuf {
        self.path(&format!("{node}.disk"))
    }

    /// Makes a file for a USB disk of this size: blank.
    pub fn blank(&self, name: &str, size: u64) -> PathBuf {
        let path = self.path(name);
        std::fs::File::create(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// Switches a node on, connected to port `port` of the router. Its control socket is `NAME.qmp`.
    pub fn start(&self, node: &str, router: &Router, port: usize, arguments: &[&str]) -> Node {
        self.start_as(node, node, router, port, arguments)
    }

    /// The same with a disk, a control socket and a console log of another name: several of one image.
    pub fn start_as(&self, node: &str, name: &str, router: &Router, port: usize, arguments: &[&str]) -> Node {
        let mut all = router.arguments(port);
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        self.start_with(node, name, router.port(port, 22), all)
    }

    /// Switches a node on that nobody can reach.
    pub fn start_alone(&self, node: &str, arguments: &[&str]) -> Node {
        self.start_with(node, node, 0, arguments.iter().map(|a| (*a).to_owned()).collect())
    }

    fn start_with(&self, node: &str, name: &str, ssh: u16, mut arguments: Vec<String>) -> Node {
        let monitor = self.path(&format!("{name}.qmp"));
        // QEMU makes it anew.
        let _ = std::fs::remove_file(&monitor);
        arguments.extend(["--monitor", monitor.to_str().unwrap(), "--disk-size", "8G"].map(str::to_owned));
        let log = format!("{}-{name}", self.test);
        Node::start(&log, &self.image(node), &self.disk(name), &self.key(), ssh, &arguments)
    }

    /// The names of the files on the FAT partition of a node's disk.
    pub fn firmware_files(&self, node: &str) -> Vec<String> {
        let output = succeed(Command::new("mdir").args(["-b", "-i", &firmware(&self.disk(node)), "::/"]));
        String::from_utf8_lossy(&output.stdout).lines().map(|l| l.trim_start_matches("::/").to_owned()).collect()
    }

    /// A text file on the FAT partition of a node's disk.
    pub fn firmware_text(&self, node: &str, name: &str) -> String {
        let output = succeed(Command::new("mtype").args(["-i", &firmware(&self.disk(node)), &format!("::/{name}")]));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Consoles are kept under the name of the test.
fn test_name() -> String {
    std::thread::current().name().unwrap_or("lab").replace("::", "-")
}

/// The FAT partition of a disk, as mtools take it.
pub fn firmware(disk: &Path) -> String {
    format!("{}@@{}", disk.display(), partition_starts(disk)[0])
}
