//! The ports that a system opens to its network, as far as its files tell.
//!
//! systemd's socket units name their ports (systemd.socket(5)). Of services only those in `KNOWN` are known, with the
//! ports that Debian's packages, k3s and labimg give them. The ports of sshd and systemd-resolved are read from their
//! configuration.

use std::collections::BTreeSet;

use serde::Serialize;

use super::files::text;
use labimg_disk::read::InspectError;
use labimg_disk::read::ext4::{Ext4Volume, FileKind};

/// A port that other computers can reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The unit that opens it.
    pub unit: String,
    /// What it is for; empty when only its number is known.
    pub purpose: &'static str,
}

/// Where systemd looks for units; the first match counts (systemd.unit(5)).
const UNIT_FOLDERS: [&str; 2] = ["/etc/systemd/system", "/usr/lib/systemd/system"];

/// Number, protocol and purpose.
type Opened = (u16, &'static str, &'static str);

/// Services and the ports they open by default.
const KNOWN: [(&str, &[Opened]); 11] = [
    ("apache2.service", &[(80, "tcp", "HTTP")]),
    ("avahi-daemon.service", &[(5353, "udp", "mDNS")]),
    // docs.k3s.io, "Inbound Rules for K3s Nodes".
    ("k3s-agent.service", &[(10250, "tcp", "kubelet"), (8472, "udp", "Flannel VXLAN")]),
    ("k3s.service", &[(6443, "tcp", "Kubernetes API"), (10250, "tcp", "kubelet"), (8472, "udp", "Flannel VXLAN")]),
    ("nfs-server.service", &[(2049, "tcp", "NFS")]),
    ("nginx.service", &[(80, "tcp", "HTTP")]),
    ("nmbd.service", &[(137, "udp", "NetBIOS names"), (138, "udp", "NetBIOS datagrams")]),
    ("prometheus-node-exporter.service", &[(9100, "tcp", "metrics")]),
    ("rpcbind.service", &[(111, "tcp", "RPC port mapper"), (111, "udp", "RPC port mapper")]),
    ("smbd.service", &[(139, "tcp", "SMB over NetBIOS"), (445, "tcp", "SMB")]),
    ("systemd-networkd.service", &[(68, "udp", "DHCP client")]),
];

/// The ports of enabled units, sorted.
///
/// # Errors
/// When the file system is damaged.
pub(super) fn read(root: &Ext4Volume, enabled: &[String]) -> Result<Vec<Port>, InspectError> {
    let mut ports = BTreeSet::new();
    let mut add = |number, protocol, unit: &str, purpose| {
        ports.insert(Port { number, protocol, unit: unit.to_owned(), purpose });
    };
    for unit in enabled {
        if unit.ends_with(".socket") {
            for (number, protocol) in sockets(&unit_file(root, unit)?) {
                add(number, protocol, unit, "");
            }
        }
        for (number, protocol, purpose) in KNOWN.iter().filter(|(name, _)| name == unit).flat_map(|(_, ports)| *ports) {
            add(*number, protocol, unit, purpose);
        }
        match unit.as_str() {
            "ssh.service" | "sshd.service" => {
                // sshd_config(5): Debian's file includes the folder at its beginning.
                let config = configuration(root, "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d")?;
                for number in ssh_ports(&config) {
                    add(number, "tcp", unit, "SSH");
                }
            }
            "systemd-resolved.service" => {
                let config = configuration(root, "/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d")?;
                if switched_on(&config, "MulticastDNS") {
                    add(5353, "udp", unit, "mDNS");
                }
                if switched_on(&config, "LLMNR") {
                    add(5355, "udp", unit, "LLMNR");
                    add(5355, "tcp", unit, "LLMNR");
                }
            }
            _ => {}
        }
    }
    Ok(ports.into_iter().collect())
}

/// The file of a unit, or of its template; empty when there is none.
fn unit_file(root: &Ext4Volume, unit: &str) -> Result<String, InspectError> {
    let template = unit.split_once('@').map(|(name, _)| format!("{name}@.socket"));
    for name in std::iter::once(unit).chain(template.as_deref()) {
        for folder in UNIT_FOLDERS {
            if let Some(text) = text(root, &format!("{folder}/{name}"))? {
                return Ok(text);
            }
        }
    }
    Ok(String::new())
}

/// A file and the `*.conf` files of its folder, in the order of their names.
fn configuration(root: &Ext4Volume, file: &str, folder: &str) -> Result<String, InspectError> {
    let mut all = text(root, file)?.unwrap_or_default();
    let mut entries = match root.list(folder) {
        Ok(entries) => entries,
        Err(InspectError::NotFound { .. } | InspectError::WrongKind { .. }) => Vec::new(),
        Err(e) => return Err(e),
    };
    entries.retain(|e| e.kind == FileKind::File && e.path.rsplit_once('.').is_some_and(|(_, end)| end == "conf"));
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    for entry in entries {
        all.push('\n');
        all.push_str(&text(root, &entry.path)?.unwrap_or_default());
    }
    Ok(all)
}

/// The network ports of a socket unit that are not only bound to the loopback address.
fn sockets(unit: &str) -> Vec<(u16, &'static str)> {
    let mut all = Vec::new();
    for line in unit.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let protocol = match key.trim() {
            "ListenStream" => "tcp",
            "ListenDatagram" => "udp",
            _ => continue,
        };
        let value = value.trim();
        if value.is_empty() {
            // An empty value resets the earlier ones.
            all.retain(|(_, of)| *of != protocol);
            continue;
        }
        let (address, port) = value.rsplit_once(':').unwrap_or(("", value));
        let local = address == "localhost" || address.starts_with("127.") || address == "[::1]";
        if let (false, Ok(number)) = (local || address.starts_with("vsock"), port.parse()) {
            all.push((number, protocol));
        }
    }
    all
}

fn ssh_ports(config: &str) -> BTreeSet<u16> {
    let port = |line: &str| {
        let mut words = line.split(|c: char| c.is_whitespace() || c == '=').filter(|w| !w.is_empty());
        words.next().filter(|key| key.eq_ignore_ascii_case("port"))?;
        words.next()?.parse().ok()
    };
    let ports: BTreeSet<u16> = config.lines().filter_map(port).collect();
    if ports.is_empty() { [22].into() } else { ports }
}

/// Whether the last line for a switch of resolved.conf(5) sets it to yes. Debian builds resolved with both switches
/// off.
fn switched_on(config: &str, key: &str) -> bool {
    let value = |line: &str| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().to_ascii_lowercase())
    };
    matches!(config.lines().filter_map(value).next_back().as_deref(), Some("yes" | "true" | "on" | "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_others_reach() {
        let unit = "[Socket]\nListenStream=9090\nListenDatagram = 0.0.0.0:69\nListenStream=[::]:80\nListenStream=127.0.0.1:631\n\
            ListenStream=[::1]:7\nListenStream=/run/x.sock\nListenStream=@abstract\nListenStream=vsock::22\n#ListenStream=1\n";
        assert_eq!(sockets(unit), [(9090, "tcp"), (69, "udp"), (80, "tcp")]);
        assert_eq!(sockets("ListenStream=22\nListenStream=\nListenStream=2222\n"), [(2222, "tcp")]);
        assert!(sockets("ListenStream=99999\nListenStream=x:y\n").is_empty());
    }

    #[test]
    fn ports_of_sshd() {
        assert_eq!(ssh_ports("#Port 23\nPermitRootLogin no\n").into_iter().collect::<Vec<_>>(), [22]);
        assert_eq!(ssh_ports("Port 2222\n port=22\nPortable 1\n").into_iter().collect::<Vec<_>>(), [22, 2222]);
    }

    #[test]
    fn the_last_word_of_resolved_counts() {
        assert!(switched_on(
            "[Resolve]\n#MulticastDNS=no\nMulticastDNS=no\n\n[Resolve]\nMulticastDNS=yes\n",
            "MulticastDNS"
        ));
        assert!(!switched_on("LLMNR=resolve\n", "LLMNR") && !switched_on("", "LLMNR"));
    }
}
