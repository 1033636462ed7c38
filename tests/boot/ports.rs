//! Ports of 127.0.0.1 that nobody else uses.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the kernel gives out by itself, which it could give to another one before QEMU listens.
const FIRST: u16 = 10_240;

/// So many for each process: tests are processes of their own, several at a time.
const BLOCK: u16 = 128;

const BLOCKS: u16 = 170;

/// How many the tests of this process have taken: one is not taken twice.
static TAKEN: AtomicU16 = AtomicU16::new(0);

/// Ports that stay taken until [`Ports::release`], directly before the program starts that is to listen on them.
pub struct Ports(Vec<TcpListener>);

impl Ports {
    /// Takes `count` ports.
    pub fn take(count: usize) -> Self {
        let first = FIRST + BLOCK * (std::process::id() % u32::from(BLOCKS)) as u16;
        let mut listeners = Vec::new();
        while listeners.len() < count {
            let number = TAKEN.fetch_add(1, Ordering::SeqCst);
            assert!(number < BLOCK, "no port is left of {BLOCK} from {first}");
            // One that somebody listens on is passed over.
            listeners.extend(TcpListener::bind(("127.0.0.1", first + number)));
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
