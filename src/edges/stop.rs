//! The request to stop: a flag that every wait looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest a wait may go without a look at the flag.
pub const SLICE: Duration = Duration::from_millis(500);

/// How long work that is under way may go on after the request, so that the process ends within
/// eight seconds.
pub const GRACE: Duration = Duration::from_secs(5);

/// A handle on the flag; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// A flag that is not raised.
    pub fn new() -> Stop {
        Stop::default()
    }

    /// Whether the process was asked to stop.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks the process to stop.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Sleeps for `time`, or until the process is asked to stop.
    pub fn sleep(&self, time: Duration) {
        let mut left = time;
        while !left.is_zero() && !self.requested() {
            let step = left.min(SLICE / 2);
            std::thread::sleep(step);
            left -= step;
        }
    }

    /// The flag itself, for a signal handler to raise.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}
