//! Waiting that the user can end.

use std::time::{Duration, Instant};

use labimg_tree::interrupt::{self, Interrupted};

/// How often it is checked whether the user wants to stop.
const TICK: Duration = Duration::from_millis(50);

/// Waits for this time.
///
/// # Errors
/// When the user asks to stop.
pub fn pause(time: Duration) -> Result<(), Interrupted> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        interrupt::check()?;
        std::thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
    }
    interrupt::check()
}
