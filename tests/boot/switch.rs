//! An Ethernet switch for machines in QEMU: each has a port of 127.0.0.1 (`-netdev socket,connect=`), frames go where
//! their receiver was last seen, and to all when that is not known.
//!
//! QEMU's own hub does not do: it shows every frame to QEMU's user network, which answers for machines that it takes for
//! the outside, and so ends connections between nodes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

type Mac = [u8; 6];

/// The port of the router; the others are those of nodes.
pub const UPLINK: usize = 0;

/// A running switch; ended when dropped.
pub struct Switch {
    shared: Arc<Shared>,
    numbers: Vec<u16>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    ports: Vec<Mutex<Option<TcpStream>>>,
    seen: Mutex<HashMap<Mac, usize>>,
    /// Whether the cable to the router is plugged in.
    uplink: AtomicBool,
    ended: AtomicBool,
}

impl Switch {
    /// Starts a switch with `count` ports.
    pub fn start(count: usize) -> Self {
        let shared = Arc::new(Shared {
            ports: (0..count).map(|_| Mutex::new(None)).collect(),
            seen: Mutex::default(),
            uplink: AtomicBool::new(true),
            ended: AtomicBool::new(false),
        });
        let mut switch = Self { shared, numbers: Vec::new(), threads: Vec::new() };
        for port in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            switch.numbers.push(listener.local_addr().unwrap().port());
            let shared = Arc::clone(&switch.shared);
            switch.threads.push(std::thread::spawn(move || shared.serve(port, &listener)));
        }
        switch
    }

    /// What QEMU connects to for this port.
    pub fn socket(&self, port: usize) -> String {
        format!("127.0.0.1:{}", self.numbers[port])
    }

    /// Plugs the cable to the router in or out.
    pub fn uplink(&self, plugged: bool) {
        self.shared.uplink.store(plugged, Ordering::SeqCst);
    }
}

impl Shared {
    /// One connection after the other: a node that restarts connects again.
    fn serve(&self, port: usize, listener: &TcpListener) {
        while !self.ended.load(Ordering::SeqCst) {
            let Ok((mut stream, _)) = listener.accept() else {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            stream.set_nodelay(true).unwrap();
            // A machine that stands still must not hold up the others for long.
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            *self.ports[port].lock().unwrap() = Some(stream.try_clone().unwrap());
            while let Some(frame) = read_frame(&mut stream) {
                self.forward(port, &frame);
            }
            *self.ports[port].lock().unwrap() = None;
        }
    }

    fn forward(&self, from: usize, frame: &[u8]) {
        if frame.len() < 14 || (from == UPLINK && !self.uplink.load(Ordering::SeqCst)) {
            return;
        }
        let (to, sender) = (mac(&frame[..6]), mac(&frame[6..12]));
        let known = {
            let mut seen = self.seen.lock().unwrap();
            seen.insert(sender, from);
            seen.get(&to).copied()
        };
        // The lowest bit of the first byte marks an address of many.
        let many = to[0] & 1 == 1;
        for port in 0..self.ports.len() {
            let wanted = if many { port != UPLINK || !is_ipv4_multicast(to) } else { known.is_none_or(|k| k == port) };
            // What nobody is known to take is not for the router, which has spoken first.
            let stray = port == UPLINK && !many && known.is_none();
            if port != from && wanted && !stray {
                self.send(port, frame);
            }
        }
    }

    fn send(&self, port: usize, frame: &[u8]) {
        if port == UPLINK && !self.uplink.load(Ordering::SeqCst) {
            return;
        }
        let mut stream = self.ports[port].lock().unwrap();
        if let Some(open) = stream.as_mut() {
            let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
            bytes.extend(frame);
            // Half a frame would shift all that follow: the connection ends with it.
            if open.write_all(&bytes).is_err() {
                let _ = open.shutdown(Shutdown::Both);
                *stream = None;
            }
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for port in &self.shared.ports {
            if let Some(stream) = port.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn mac(bytes: &[u8]) -> Mac {
    bytes.try_into().unwrap()
}

/// mDNS and the like stay among the nodes (RFC 1112).
fn is_ipv4_multicast(mac: Mac) -> bool {
    mac[..3] == [0x01, 0x00, 0x5e]
}

/// A frame behind its length in four bytes, as QEMU sends it; none at the connection's end.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let len = u32::from_be_bytes(len) as usize;
    // More than any frame, jumbo ones and offloads included.
    if len > 128 << 10 {
        return None;
    }
    let mut frame = vec![0; len];
    stream.read_exact(&mut frame).ok()?;
    Some(frame)
}
