//! A service manager: the socket that a service tells how it is doing, and what it said so far.

use super::program::{PATIENCE, Program};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What was said, and when.
type Heard = (Mutex<Vec<(Instant, String)>>, Condvar);

/// A bound socket. What is sent to it is kept, with the time of its arrival.
pub struct Manager {
    name: String,
    heard: Arc<Heard>,
    _dir: tempfile::TempDir,
}

/// A socket in a directory of its own, that nobody reads.
pub fn silent() -> (UnixDatagram, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("notify").display().to_string();
    (UnixDatagram::bind(&name).unwrap(), name, dir)
}

impl Manager {
    /// At a path.
    pub fn start() -> Manager {
        let (socket, name, dir) = silent();
        Manager::read(socket, name, dir)
    }

    /// In the abstract name space of Linux.
    pub fn start_abstract() -> Manager {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("@mailroom{}", dir.path().display());
        let address = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        Manager::read(UnixDatagram::bind_addr(&address).unwrap(), name, dir)
    }

    /// Begins to read what is in the socket and what will come.
    pub fn read(socket: UnixDatagram, name: String, dir: tempfile::TempDir) -> Manager {
        let heard: Arc<Heard> = Arc::default();
        let shared = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                shared.0.lock().unwrap().push((Instant::now(), text));
                shared.1.notify_all();
            }
        });
        Manager { name, heard, _dir: dir }
    }

    /// A program that is told of the manager.
    pub fn manages(&self, program: Program) -> Program {
        program.env("NOTIFY_SOCKET", &self.name)
    }

    /// The same, with a watchdog that bites after this time.
    pub fn watches(&self, program: Program, limit: Duration) -> Program {
        self.manages(program).env("WATCHDOG_USEC", limit.as_micros().to_string())
    }

    /// All that was said so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().iter().map(|(_, text)| text.clone()).collect()
    }

    /// When something that begins so was said, each time.
    pub fn times(&self, text: &str) -> Vec<Instant> {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().filter(|(_, said)| said.starts_with(text)).map(|(at, _)| *at).collect()
    }

    /// Waits until something that begins so was said after `since`; gives when.
    pub fn wait_after(&self, text: &str, since: Instant) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = self.heard.0.lock().unwrap();
        loop {
            let found = heard.iter().find(|(at, said)| *at > since && said.starts_with(text));
            if let Some((at, _)) = found {
                return *at;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {text:?} in {heard:?}");
            heard = self.heard.1.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// Waits until something that begins so was said; gives when that was first.
    pub fn wait(&self, text: &str) -> Instant {
        self.wait_after(text, Instant::now() - Duration::from_secs(3600))
    }

    /// The longest time without a sign of life from `since` until `until`.
    pub fn longest_silence(&self, since: Instant, until: Instant) -> Duration {
        let mut times: Vec<Instant> = self.times("WATCHDOG=1");
        times.retain(|at| *at > since && *at < until);
        times.insert(0, since);
        times.push(until);
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    }
}
