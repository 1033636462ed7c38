//! QEMU's machine protocol, to plug disks and cables (QEMU, "QEMU Machine Protocol Specification").

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A connection to a running QEMU.
pub struct Qmp {
    stream: BufReader<UnixStream>,
    events: Vec<String>,
}

impl Qmp {
    /// Waits for the socket and makes it ready for commands.
    pub fn connect(socket: &Path) -> Self {
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(e) if begun.elapsed() > Duration::from_secs(60) => panic!("{}: {e}", socket.display()),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut qmp = Self { stream: BufReader::new(stream), events: Vec::new() };
        qmp.run("qmp_capabilities", &json!({}));
        qmp
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("QEMU answers within a minute");
        assert!(!line.is_empty(), "QEMU closed the connection");
        serde_json::from_str(&line).unwrap()
    }

    /// Runs a command; what QEMU has against it is the error.
    pub fn attempt(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let text = json!({ "execute": command, "arguments": arguments }).to_string();
        self.stream.get_mut().write_all(format!("{text}\n").as_bytes()).map_err(|e| e.to_string())?;
        loop {
            let answer = self.line();
            if let Some(event) = answer["event"].as_str() {
                self.events.push(format!("{event} {}", answer["data"]["device"].as_str().unwrap_or_default()));
            } else if let Some(error) = answer["error"]["desc"].as_str() {
                return Err(error.to_owned());
            } else if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    /// Runs a command that must succeed.
    pub fn run(&mut self, command: &str, arguments: &Value) -> Value {
        self.attempt(command, arguments).unwrap_or_else(|e| panic!("QEMU: {command} {arguments}: {e}"))
    }

    /// Waits until a device that was to go is gone.
    fn wait_deleted(&mut self, device: &str) {
        let event = format!("DEVICE_DELETED {device}");
        while !self.events.contains(&event) {
            let answer = self.line();
            if let Some(name) = answer["event"].as_str() {
                self.events.push(format!("{name} {}", answer["data"]["device"].as_str().unwrap_or_default()));
            }
        }
        self.events.retain(|e| *e != event);
    }

    /// Plugs in a USB disk: `id` names it, and is its serial number; `disk` is what QEMU's `blockdev-add` takes.
    pub fn plug(&mut self, id: &str, mut disk: Value) {
        disk["node-name"] = json!(format!("{id}-disk"));
        self.run("blockdev-add", &disk);
        let device = json!({ "driver": "usb-storage", "id": id, "drive": format!("{id}-disk"), "serial": id });
        self.run("device_add", &device);
    }

    /// Pulls out a disk that [`Qmp::plug`] plugged in.
    pub fn unplug(&mut self, id: &str) {
        self.run("device_del", &json!({ "id": id }));
        self.wait_deleted(id);
        let begun = Instant::now();
        while let Err(e) = self.attempt("blockdev-del", &json!({ "node-name": format!("{id}-disk") })) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{id}: {e}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Pulls out a disk that `labimg boot --usb` plugged in.
    pub fn unplug_first(&mut self) {
        self.run("device_del", &json!({ "id": "usbdisk0" }));
        self.wait_deleted("usbdisk0");
    }
}

/// A disk image as `blockdev-add` takes it.
pub fn raw(path: &Path) -> Value {
    json!({ "driver": "raw", "file": { "driver": "file", "filename": path, "locking": "off" } })
}
