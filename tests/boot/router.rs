//! A home router: QEMU's user network (DHCP, DNS, the way out) in a QEMU of its own without a machine, behind a switch.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::ports::Ports;
use crate::switch::{Switch, UPLINK};

/// The ports of a node that are forwarded: SSH and k3s.
const FORWARDED: [u16; 2] = [22, 6443];

/// A running router; ended when dropped.
pub struct Router {
    process: Child,
    switch: Switch,
    nodes: usize,
    forwards: Vec<u16>,
}

impl Router {
    /// Starts a router with a port for each of `nodes` nodes, which get 10.0.2.15, 10.0.2.16, … in order.
    pub fn start(nodes: usize) -> Self {
        let switch = Switch::start(nodes + 1);
        let ports = Ports::take(nodes * FORWARDED.len());
        let forwards = ports.numbers();
        let forward: String = forwards
            .iter()
            .enumerate()
            .map(|(i, host)| {
                let (node, guest) = (i / FORWARDED.len(), FORWARDED[i % FORWARDED.len()]);
                format!(",hostfwd=tcp:127.0.0.1:{host}-10.0.2.{}:{guest}", 15 + node)
            })
            .collect();
        let mut command = Command::new("qemu-system-aarch64");
        command.args(["-machine", "none", "-nodefaults", "-display", "none"]);
        command.args(["-netdev", &format!("user,id=up{forward}"), "-netdev", "hubport,id=hub0,hubid=0,netdev=up"]);
        command.args(["-netdev", &format!("socket,id=lan,connect={}", switch.socket(UPLINK))]);
        command.args(["-netdev", "hubport,id=hub1,hubid=0,netdev=lan"]);
        ports.release();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let router = Self { process, switch, nodes, forwards };
        router.reserve();
        router
    }

    /// Fixes the addresses: the router gives each hardware address that asks the next one, and keeps to it. So the test
    /// asks in the nodes' stead, in their order.
    fn reserve(&self) {
        let mut stream = TcpStream::connect(self.switch.socket(1)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        for node in 0..self.nodes {
            let frame = discover([0x52, 0x54, 0, 0x1a, 0xb0, node as u8]);
            // Until the router has connected to the switch, nobody hears it.
            let address = (0..60).find_map(|_| {
                stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
                stream.write_all(&frame).unwrap();
                offer(&mut stream)
            });
            assert_eq!(address, Some([10, 0, 2, 15 + node as u8]), "the router gives no or another address");
        }
        stream.shutdown(Shutdown::Both).unwrap();
    }

    /// The arguments for `labimg boot` that connect a node.
    pub fn arguments(&self, node: usize) -> Vec<String> {
        let (socket, mac) = (self.switch.socket(node + 1), format!("52:54:00:1a:b0:{node:02x}"));
        ["--network", &socket, "--mac", &mac].map(str::to_owned).to_vec()
    }

    /// The port of 127.0.0.1 that leads to this port of a node.
    pub fn port(&self, node: usize, guest: u16) -> u16 {
        let index = FORWARDED.iter().position(|p| *p == guest).unwrap();
        self.forwards[node * FORWARDED.len() + index]
    }

    /// Takes away, or gives back, DHCP, DNS and the way out; the switch goes on.
    pub fn uplink(&self, up: bool) {
        self.switch.uplink(up);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the next DHCP offer; none within a second.
fn offer(stream: &mut TcpStream) -> Option<[u8; 4]> {
    loop {
        let mut len = [0; 4];
        stream.read_exact(&mut len).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        stream.read_exact(&mut frame).ok()?;
        // IPv4, UDP from port 67; router advertisements of IPv6 may come in between. Then the field `yiaddr`.
        if frame[12..14] == [8, 0] && frame[23] == 17 && frame[34..36] == [0, 67] {
            return frame[58..62].try_into().ok();
        }
    }
}

/// A DHCPDISCOVER of this hardware address as an Ethernet frame (RFC 2131, RFC 894).
fn discover(mac: [u8; 6]) -> Vec<u8> {
    let mut dhcp = vec![1, 1, 6, 0, 0, 0, 0, 1];
    dhcp.resize(28, 0);
    dhcp.extend(mac);
    dhcp.resize(236, 0);
    // Magic, option 53 (message type): discover, end.
    dhcp.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255]);
    let mut udp = Vec::new();
    for field in [68, 67, 8 + dhcp.len() as u16, 0] {
        udp.extend(field.to_be_bytes());
    }
    udp.extend(dhcp);
    let mut ip = vec![0x45, 0];
    ip.extend((20 + udp.len() as u16).to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    let sum: u32 = ip.chunks_exact(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = vec![0xff; 6];
    frame.extend(mac);
    frame.extend([8, 0]);
    frame.extend(ip);
    frame.extend(udp);
    frame
}
