//! Ports of 127.0.0.1 that nobody else uses.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Mutex;

/// What the tests of this process have taken: the kernel may give a port out again before QEMU listens on it.
static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// Ports that stay taken until [`Ports::release`], directly before the program starts that is to listen on them.
pub struct Ports(Vec<TcpListener>);

impl Ports {
    /// Takes `count` ports.
    pub fn take(count: usize) -> Self {
        let mut listeners = Vec::new();
        while listeners.len() < count {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if taken.get_or_insert_default().insert(port) {
                listeners.push(listener);
            }
        }
        Self(listeners)
    }

    /// Their numbers.
    pub fn numbers(&self) -> Vec<u16> {
        self.0.iter().map(|l| l.local_addr().unwrap().port()).collect()
    }

    /// Lets others listen on them.
    pub fn release(self) -> Vec<u16> {
        self.numbers()
    }
}
