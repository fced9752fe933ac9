//! When a batch that is not full goes out.
//!
//! The window opens at the first notification and is not extended by later ones; when it ends,
//! what is waiting goes. It ends sooner if what waits would be too late then. Time comes in as an argument; the caller waits.

use std::time::{Duration, Instant};

/// The window of one queue.
#[derive(Clone, Debug)]
pub struct Window {
    timeout: Duration,
    opened: Option<Instant>,
    from: Option<Instant>,
    by: Option<Instant>,
}

impl Window {
    /// A closed window that, once opened, lasts `timeout`.
    pub fn new(timeout: Duration) -> Window {
        Window { timeout, opened: None, from: None, by: None }
    }

    /// Opens the window at `now`, unless it is open.
    pub fn open(&mut self, now: Instant) {
        self.opened.get_or_insert(now);
    }

    /// Opens the window anew for what a full batch left behind, the oldest of which has been
    /// waiting for `age`: as if it had opened when that one came, but not before it really did.
    pub fn reopen(&mut self, now: Instant, age: Duration) {
        let came = now.checked_sub(age).unwrap_or(now);
        self.opened = Some(self.opened.map_or(now, |opened| opened.max(came)));
    }

    /// Has the window end at `by`, if it would end later, but not before `from`.
    pub fn bound(&mut self, from: Option<Instant>, by: Option<Instant>) {
        (self.from, self.by) = (from, by);
    }

    /// Closes the window: nothing is waiting.
    pub fn close(&mut self) {
        (self.opened, self.from, self.by) = (None, None, None);
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// When it ends; `None` while it is closed.
    pub fn deadline(&self) -> Option<Instant> {
        let end = self.opened? + self.timeout;
        let end = self.by.map_or(end, |by| end.min(by));
        Some(self.from.map_or(end, |from| end.max(from)))
    }

    /// Whether it is open and has ended.
    pub fn due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn later_notifications_do_not_extend_the_window() {
        let start = Instant::now();
        let mut window = Window::new(5 * SECOND);
        assert!(!window.due(start + 100 * SECOND));
        window.open(start);
        window.open(start + 4 * SECOND);
        assert!(!window.due(start + 4 * SECOND));
        assert!(window.due(start + 5 * SECOND));
        window.close();
        assert_eq!(window.deadline(), None);
    }

    #[test]
    fn the_window_ends_before_what_waits_is_too_late_and_no_later_for_it() {
        let start = Instant::now();
        let mut window = Window::new(5 * SECOND);
        window.bound(None, Some(start + 2 * SECOND));
        assert_eq!(window.deadline(), None);
        window.open(start);
        assert_eq!(window.deadline(), Some(start + 2 * SECOND));
        window.bound(None, Some(start + 9 * SECOND));
        assert_eq!(window.deadline(), Some(start + 5 * SECOND));
        window.bound(Some(start + SECOND), Some(start));
        assert_eq!(window.deadline(), Some(start + SECOND));
        window.bound(Some(start + 7 * SECOND), None);
        assert_eq!(window.deadline(), Some(start + 7 * SECOND));
        window.close();
        window.open(start);
        assert_eq!(window.deadline(), Some(start + 5 * SECOND));
    }

    #[test]
    fn what_a_full_batch_left_behind_waits_from_when_it_came() {
        let start = Instant::now();
        let mut window = Window::new(5 * SECOND);
        window.open(start);
        window.reopen(start + 3 * SECOND, SECOND);
        assert_eq!(window.deadline(), Some(start + 7 * SECOND));
    }

    #[test]
    fn a_row_from_a_long_transaction_does_not_open_the_window_in_the_past() {
        let start = Instant::now() + 1000 * SECOND;
        let mut window = Window::new(5 * SECOND);
        window.open(start);
        window.reopen(start + SECOND, 60 * SECOND);
        assert_eq!(window.deadline(), Some(start + 5 * SECOND));
    }
}
