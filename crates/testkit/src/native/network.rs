//! The network of one test: a bridge in its own namespace, with a router that runs DHCP.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{leftovers, processes};

/// The address of the router, and of the host in the network: the same as in QEMU's user network.
pub const ROUTER: &str = "10.0.2.2";
/// The bridge's name in its namespace.
pub const BRIDGE: &str = "br0";

const HOLDER: &str = include_str!("network.sh");

/// A running network, with a folder for everything in it.
pub struct Network {
    name: String,
    folder: PathBuf,
    /// unshare(1). Its child is the first process of the namespaces and ends when standard input is closed.
    holder: Child,
    first: i32,
    router: Mutex<Option<Child>>,
}

impl Network {
    /// Starts a network with its router.
    pub fn start() -> Self {
        let network = Self::without_router();
        network.uplink(true);
        network
    }

    /// Starts a network without DHCP.
    pub fn without_router() -> Self {
        let name = leftovers::unique_name();
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir(&folder).unwrap();
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "sh",
                "-c",
                HOLDER,
                "sh",
                BRIDGE,
            ])
            .arg(format!("{ROUTER}/24"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n", "the network was not made");
        let first = *processes::descendants(holder.id()).first().unwrap();
        Self { name, folder, holder, first, router: Mutex::default() }
    }

    /// The prefix for the names of its machines and files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder, removed with the network.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command in the network's namespaces.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--mount", "--pid", "--target", &self.first.to_string(), "--"]).arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Stops or restarts DHCP and DNS; nodes still reach each other.
    pub fn uplink(&self, up: bool) {
        let mut running = self.router.lock().unwrap();
        if let Some(mut router) = running.take() {
            processes::descendants(router.id()).into_iter().for_each(processes::kill);
            router.wait().unwrap();
        }
        if up {
            let leases = self.folder.join("leases");
            let mut dnsmasq = self.command("dnsmasq");
            dnsmasq.args(["--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file="]);
            dnsmasq.args(["--no-resolv", "--no-hosts", "--domain=lan", "--local=/lan/", "--dhcp-authoritative"]);
            dnsmasq.args([
                "--bind-interfaces",
                "--except-interface=lo",
                "--log-dhcp",
                "--no-ping",
                "--dhcp-sequential-ip",
            ]);
            dnsmasq.arg(format!("--interface={BRIDGE}")).arg("--dhcp-range=10.0.2.15,10.0.2.99,1h");
            dnsmasq.arg(format!("--dhcp-leasefile={}", leases.display()));
            let log = std::fs::File::options().create(true).append(true).open(self.folder.join("router.log")).unwrap();
            dnsmasq.stdout(log.try_clone().unwrap()).stderr(log);
            *running = Some(dnsmasq.spawn().unwrap());
        }
    }

    /// The router's log.
    pub fn router_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("router.log")).unwrap_or_default()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // When it ends, the kernel kills everything in the namespaces.
        drop(self.holder.stdin.take());
        let begun = Instant::now();
        while matches!(self.holder.try_wait(), Ok(None)) && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(5));
        }
        processes::kill(self.first);
        let _ = self.holder.wait();
        let router = self.router.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(mut router) = router {
            let _ = router.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
