//! A lab folder, and the images that the program builds from it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Card, Network, Node, Power, leftovers};
use crate::command::{succeed, text_of};

/// The lab to be built.
#[derive(Debug, Clone, Copy, Default)]
pub struct LabRequest<'a> {
    /// Name and role of each node.
    pub nodes: &'a [(&'a str, &'a str)],
    /// More lines of a node, by node name.
    pub node_settings: &'a [(&'a str, &'a str)],
    /// More lines of `lab.toml`, before the nodes.
    pub settings: &'a str,
    /// More packages for all nodes.
    pub packages: &'a [&'a str],
    /// More files of the folder.
    pub files: &'a [(&'a str, &'a str)],
}

/// The programs and files used to build a lab.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The `labimg` program.
    pub program: PathBuf,
    /// The board file for all nodes.
    pub board: PathBuf,
    /// The stand-in for k3s.
    pub k3s: PathBuf,
}

/// A folder with a built lab.
pub struct Lab {
    folder: tempfile::TempDir,
    tools: Tools,
    built: serde_json::Value,
}

impl Lab {
    /// Writes the folder and builds its images with the real command.
    pub fn build(tools: &Tools, request: &LabRequest) -> Self {
        let name = format!("{}-", leftovers::unique_name());
        let folder = tempfile::Builder::new().prefix(&name).tempdir().unwrap();
        let mut lab = Self { folder, tools: tools.clone(), built: serde_json::Value::Null };
        let board = lab.board();
        std::fs::create_dir(lab.path("boards")).unwrap();
        std::fs::copy(&tools.board, lab.path(&format!("boards/{board}.toml"))).unwrap();
        make_key(&lab.key());
        let mut text = format!("name = \"lab\"\nssh_keys = [\"{}\"]\n", lab.key().with_extension("pub").display());
        if !request.packages.is_empty() {
            text += &format!("packages = {:?}\n", request.packages);
        }
        text += request.settings;
        for (name, role) in request.nodes {
            text += &format!("\n[[nodes]]\nname = \"{name}\"\nrole = \"{role}\"\nboard = \"{board}\"\n");
            text.extend(request.node_settings.iter().filter(|(node, _)| node == name).map(|(_, lines)| *lines));
        }
        std::fs::write(lab.path("lab.toml"), text).unwrap();
        for (path, text) in request.files {
            let path = lab.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        if lab.path("secrets").exists() {
            std::fs::set_permissions(lab.path("secrets"), Permissions::from_mode(0o700)).unwrap();
        }
        lab.built = lab.rebuild(&[]);
        lab
    }

    fn board(&self) -> String {
        self.tools.board.file_stem().unwrap().to_string_lossy().into_owned()
    }

    /// Builds these nodes (all when empty) again, as before reflashing a card. Returns the program's output.
    pub fn rebuild(&self, nodes: &[&str]) -> serde_json::Value {
        let mut build = self.command();
        build.args(["--json", "build"]).args(nodes).arg("--k3s-bin").arg(&self.tools.k3s);
        serde_json::from_slice(&succeed(&mut build).stdout).unwrap()
    }

    /// The program, run in the lab's folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.tools.program);
        command.current_dir(self.folder.path());
        command
    }

    /// The program, run in the lab's folder by a computer of this network.
    pub fn command_in(&self, network: &Network) -> Command {
        // nsenter starts in the root folder.
        let mut command = network.command("env");
        command.arg("-C").arg(self.folder.path()).arg(&self.tools.program);
        command
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The key that may log in.
    pub fn key(&self) -> PathBuf {
        self.path("key")
    }

    /// A node's image.
    pub fn image(&self, node: &str) -> PathBuf {
        self.path(&format!("{node}-{}.img", self.board()))
    }

    /// The build's output for a node's image.
    fn built(&self, node: &str) -> &serde_json::Value {
        let image = self.image(node).file_name().unwrap().to_string_lossy().into_owned();
        let images = self.built["images"].as_array().unwrap();
        let of_node = |i: &&serde_json::Value| i["image"].as_str().is_some_and(|path| path.ends_with(&image));
        images.iter().find(of_node).unwrap_or_else(|| panic!("no {image} in {:#}", self.built))
    }

    /// The packages that the node itself has to configure.
    pub fn pending(&self, node: &str) -> Vec<&str> {
        let pending = self.built(node)["pending"].as_array().expect("`build --json` lists what is pending");
        pending.iter().filter_map(|p| p["package"].as_str()).collect()
    }

    /// A node's own time, seconds since 1970.
    pub fn date(&self, node: &str) -> i64 {
        self.built(node)["date"].as_i64().expect("`build --json` gives the date")
    }

    /// The ports that `labimg inspect` says a node's image opens, as `22/tcp`.
    pub fn told_ports(&self, node: &str) -> Vec<String> {
        let output = succeed(self.command().args(["--json", "inspect"]).arg(self.image(node)));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let ports = report["system"]["ports"].as_array().expect("`inspect --json` lists ports");
        ports.iter().map(|p| format!("{}/{}", p["number"], p["protocol"].as_str().unwrap())).collect()
    }

    /// A node's SSH host key from `secrets/`.
    pub fn host_key(&self, node: &str) -> String {
        let path = self.path(&format!("secrets/host-keys/{node}/ssh_host_ed25519_key.pub"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Flashes a card with a node's image.
    pub fn flash(&self, network: &Network, node: &str) -> Card {
        Card::flash(network, &self.image(node))
    }

    /// Powers a node on with this card.
    pub fn boot<'a>(&self, network: &'a Network, card: &'a Card) -> Node<'a> {
        Node::boot(network, card, &self.key(), Power::default())
    }
}

/// Makes an SSH key pair; the public one ends in `.pub`.
pub fn make_key(path: &Path) -> String {
    succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path));
    text_of(Command::new("cat").arg(path.with_extension("pub")))
}
