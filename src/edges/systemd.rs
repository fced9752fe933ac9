//! Tells the service manager how the process is doing: ready, its state in a line, alive, stopping.
//!
//! In scope: the messages of sd_notify(3) on the socket that NOTIFY_SOCKET names, and how far apart
//! they are. Out of scope: what is ready, and what counts as progress: the loop and its waits say
//! so. Without the variable nothing is done. A message that cannot be sent stops no mail: it is
//! tried again at the next progress. <https://www.freedesktop.org/software/systemd/man/sd_notify.html>

use std::cell::RefCell;
use std::fmt::Display;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// A start that makes progress is given so much more time, again and again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two lines about our state.
const APART: Duration = Duration::from_secs(1);
/// The longest line.
const LINE: usize = 200;

thread_local! {
    // The process has one thread; a test that has several gives each a manager of its own.
    static MANAGER: RefCell<Option<Manager>> = const { RefCell::new(None) };
}

/// The service manager, as far as we know what it knows.
struct Manager {
    socket: UnixDatagram,
    to: SocketAddr,
    /// At most so long between two signs of life, if they are wanted.
    every: Option<Duration>,
    /// When the last one was sent.
    alive: Option<Instant>,
    phase: Phase,
    /// The phase that was sent last.
    sent: Phase,
    /// The line that was not sent yet.
    line: Option<String>,
    line_sent: Option<Instant>,
}

/// How far the process is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Starting,
    Ready,
    Stopping,
}

/// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. Before this, and without the first of
/// them, every other function here does nothing.
///
/// # Errors
/// The socket cannot be used, and why.
pub fn configure(variable: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    let manager = open(&name, watchdog(variable)).map_err(|why| format!("NOTIFY_SOCKET: {why}"))?;
    MANAGER.set(Some(manager));
    Ok(())
}

/// How often a sign of life is wanted: half the time after which we would be killed, as
/// sd_watchdog_enabled(3) has it, but no more than twice a second.
fn watchdog(variable: &dyn Fn(&str) -> Option<String>) -> Option<Duration> {
    let ours = variable("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
    let limit: u64 = variable("WATCHDOG_USEC")?.parse().ok()?;
    let half = Duration::from_micros(limit / 2).max(Duration::from_millis(500));
    (ours && limit > 0).then_some(half)
}

fn open(name: &str, every: Option<Duration>) -> io::Result<Manager> {
    let to = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => return Err(io::Error::other("must begin with / or @")),
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold the loop.
    socket.set_nonblocking(true)?;
    let (phase, sent) = (Phase::Starting, Phase::Starting);
    Ok(Manager { socket, to, every, alive: None, phase, sent, line: None, line_sent: None })
}

/// The process does what it is there for.
pub fn ready(now: Instant) {
    enter(Phase::Ready, now);
}

/// The process ends.
pub fn stopping(now: Instant) {
    enter(Phase::Stopping, now);
}

fn enter(phase: Phase, now: Instant) {
    with(|manager| {
        manager.phase = manager.phase.max(phase);
        manager.send_news(now);
    });
}

/// The state of the process in a line; sent once a second at most, and only the last is sent.
pub fn status(text: impl Display, now: Instant) {
    with(|manager| {
        let text = text.to_string();
        let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        manager.line = Some(shown.take(LINE).collect());
        manager.send_news(now);
    });
}

/// The loop came round, or a wait that is no fault goes on.
pub fn progress(now: Instant) {
    with(|manager| manager.progress(now));
}

/// The end of a wait until `until`, or sooner, when [`progress`] must be called meanwhile.
pub fn before(until: Instant, now: Instant) -> Instant {
    let due = MANAGER.with(|cell| cell.try_borrow().ok()?.as_ref()?.due(now));
    due.map_or(until, |due| until.min(due))
}

fn with(act: impl FnOnce(&mut Manager)) {
    MANAGER.with(|cell| {
        if let Ok(mut manager) = cell.try_borrow_mut()
            && let Some(manager) = manager.as_mut()
        {
            act(manager);
        }
    });
}

impl Manager {
    fn send(&self, text: &str) -> bool {
        self.socket.send_to_addr(text.as_bytes(), &self.to).is_ok()
    }

    /// Sends what is new.
    fn send_news(&mut self, now: Instant) {
        let text = if self.phase == Phase::Ready { "READY=1" } else { "STOPPING=1" };
        if self.sent < self.phase && self.send(text) {
            self.sent = self.phase;
        }
        let quiet = self.line_sent.is_some_and(|at| now < at + APART);
        if let Some(line) = self.line.as_ref().filter(|_| !quiet)
            && self.send(&format!("STATUS={line}"))
        {
            (self.line, self.line_sent) = (None, Some(now));
        }
    }

    fn progress(&mut self, now: Instant) {
        self.send_news(now);
        let text = match (self.alive_at(now), self.phase) {
            (Some(at), Phase::Starting) if at <= now => {
                format!("EXTEND_TIMEOUT_USEC={}", PATIENCE.as_micros())
            }
            (Some(at), Phase::Ready | Phase::Stopping) if at <= now => "WATCHDOG=1".to_owned(),
            _ => return,
        };
        if self.send(&text) {
            self.alive = Some(now);
        }
    }

    /// When the next sign of life is wanted, if it is.
    fn alive_at(&self, now: Instant) -> Option<Instant> {
        let every = match self.phase {
            Phase::Starting => Some(PATIENCE / 2),
            Phase::Ready | Phase::Stopping => self.every,
        };
        every.map(|every| self.alive.map_or(now, |at| at + every))
    }

    /// When progress must be reported next.
    fn due(&self, now: Instant) -> Option<Instant> {
        let line = self.line.as_ref().map(|_| self.line_sent.map_or(now, |at| at + APART));
        let phase = (self.sent < self.phase).then_some(now);
        let due = [line, self.alive_at(now), phase].into_iter().flatten().min()?;
        // What could not be sent is no reason to turn without a rest.
        Some(if due > now { due } else { now + Duration::from_millis(500) })
    }
}
