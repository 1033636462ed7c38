//! QEMU's machine protocol (QMP), as far as needed to learn why a machine stopped (QEMU, "QEMU Machine Protocol
//! Specification").

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why a machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The node powered off.
    PowerOff,
    /// The node restarted.
    Reboot,
    /// QEMU ended on its own or was ended from outside.
    Other,
}

/// A connection to a running QEMU.
#[derive(Debug)]
pub struct Monitor {
    stream: UnixStream,
    reason: Arc<Mutex<Option<String>>>,
    reader: JoinHandle<()>,
}

impl Monitor {
    /// Waits for the socket, which QEMU creates early, and starts to listen.
    ///
    /// # Errors
    /// When it does not appear within ten seconds.
    pub fn connect(socket: &Path) -> std::io::Result<Self> {
        let begun = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(e) if begun.elapsed() > Duration::from_secs(10) => return Err(e),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.write_all(b"{\"execute\":\"qmp_capabilities\"}\n")?;
        let reason = Arc::new(Mutex::new(None));
        let lines = BufReader::new(stream.try_clone()?);
        let seen = Arc::clone(&reason);
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(text) = shutdown_reason(&line)
                    && let Ok(mut seen) = seen.lock()
                {
                    *seen = Some(text);
                }
            }
        });
        Ok(Self { stream, reason, reader })
    }

    /// Tells QEMU to quit now, as if the power was cut.
    pub fn quit(&mut self) {
        // A failed write means that QEMU has already ended.
        let _ = self.stream.write_all(b"{\"execute\":\"quit\"}\n");
    }

    /// Unplugs the cable from the network port of the backend `netdev`.
    pub fn unplug(&mut self, netdev: &str) {
        let command = serde_json::json!({ "execute": "set_link", "arguments": { "name": netdev, "up": false } });
        // If QEMU has ended, the caller notices it.
        let _ = self.stream.write_all(format!("{command}\n").as_bytes());
    }

    /// Why the machine stopped; call it after QEMU has ended.
    #[must_use]
    pub fn stop_reason(self) -> Stop {
        let _ = self.reader.join();
        match self.reason.lock().ok().and_then(|r| r.clone()).as_deref() {
            Some("guest-shutdown") => Stop::PowerOff,
            Some("guest-reset") => Stop::Reboot,
            _ => Stop::Other,
        }
    }
}

/// The reason in a `SHUTDOWN` event (QEMU QMP reference, `ShutdownCause`).
fn shutdown_reason(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    (value.get("event")? == "SHUTDOWN").then_some(())?;
    Some(value.get("data")?.get("reason")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shutdown_events_count() {
        let event = r#"{"timestamp":{"seconds":1,"microseconds":2},"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}"#;
        assert_eq!(shutdown_reason(event).as_deref(), Some("guest-reset"));
        assert_eq!(shutdown_reason(r#"{"return":{}}"#), None);
        assert_eq!(shutdown_reason("garbage"), None);
    }
}
