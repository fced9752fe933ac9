//! The program as a process: started as a user would, watched, stopped, killed.
//!
//! Every run is also a test that no log line shows the key, a token, or the secret inside it, and
//! that the process has one thread.

use super::cluster::{Database, logged};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The key of all tests.
pub const KEY: &str = "cafebabecafebabecafebabecafebabecafebabecafebabecafebabecafebabe";

/// How long a test waits for something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long a test waits for the end of a process that was asked to stop. Eight seconds are promised;
/// a machine that is busy with other tests gets as many more.
const ENDED: Duration = Duration::from_secs(16);

/// A command line and environment that will be run.
pub struct Program {
    command: Command,
    dir: tempfile::TempDir,
}

/// What was written to a stream so far, and whether it has ended.
#[derive(Clone, Default)]
pub struct Text(Arc<Followed>);

/// The bytes of a stream, and whether it ended.
type Followed = (Mutex<(Vec<u8>, bool)>, Condvar);

impl Text {
    /// A stream that is read elsewhere.
    fn elsewhere() -> Text {
        let text = Text::default();
        text.0.0.lock().unwrap().1 = true;
        text
    }

    /// Reads a stream to its end, in the background.
    pub fn follow(stream: impl Read + Send + 'static) -> Text {
        let text = Text::default();
        let shared = text.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut chunk = Vec::new();
            while reader.read_until(b'\n', &mut chunk).is_ok_and(|n| n > 0) {
                shared.0.0.lock().unwrap().0.append(&mut chunk);
                shared.0.1.notify_all();
            }
            shared.0.0.lock().unwrap().1 = true;
            shared.0.1.notify_all();
        });
        text
    }

    /// All of it.
    pub fn get(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().0).into_owned()
    }

    /// Waits until there are at least `count` whole lines and gives all there are.
    pub fn wait_lines(&self, count: usize) -> Vec<String> {
        let lines = |text: &str| Some(whole_lines(text)).filter(|whole| whole.len() >= count);
        self.wait(PATIENCE, lines)
            .unwrap_or_else(|| panic!("fewer than {count} lines:\n{}", self.get()))
    }

    /// Waits for its end.
    pub fn wait_end(&self) {
        self.wait(PATIENCE, |_| None::<()>);
        assert!(self.0.0.lock().unwrap().1, "the stream does not end:\n{}", self.get());
    }

    /// Waits until the text is as wanted; `None` when patience ends or the stream does first.
    fn wait<T>(&self, limit: Duration, wanted: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut held = self.0.0.lock().unwrap();
        loop {
            if let Some(value) = wanted(&String::from_utf8_lossy(&held.0)) {
                return Some(value);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if held.1 || left.is_zero() {
                return None;
            }
            held = self.0.1.wait_timeout(held, left).unwrap().0;
        }
    }
}

impl Program {
    /// `mailroom` with these words, an empty environment and a temporary directory of its own as
    /// home and working directory.
    pub fn new(words: &[&str]) -> Program {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailroom"));
        command
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.path())
            // The machine that runs the tests may be an instance.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_REGION", "eu-central-1")
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Program { command, dir }
    }

    /// `mailroom collect` on a database, with a short batch timeout.
    pub fn collect(database: &Database) -> Program {
        Program::new(&["collect"]).on(database).env("MAILROOM_BATCH_TIMEOUT", "300")
    }

    /// `mailroom run` on a database, sending to the provider at `url`.
    pub fn run(database: &Database, url: &str) -> Program {
        Program::new(&["run"]).on(database).env("MAILROOM_BATCH_TIMEOUT", "300").sending_to(url)
    }

    /// `mailroom send`, sending to the provider at `url`; standard input is a pipe.
    pub fn send(url: &str) -> Program {
        let mut program = Program::new(&["send"]).sending_to(url);
        program.command.stdin(Stdio::piped());
        program
    }

    /// Sets database and key.
    pub fn on(self, database: &Database) -> Program {
        self.env("MAILROOM_DATABASE_URL", &database.url).env("MAILROOM_SECRET_KEY", KEY)
    }

    fn sending_to(self, url: &str) -> Program {
        self.env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
            .env("MAILROOM_SEND_RATE", "100000")
    }

    /// Sets how many messages a batch has.
    pub fn limit(self, messages: u32) -> Program {
        self.env("MAILROOM_BATCH_LIMIT", messages.to_string())
    }

    /// Sets how long a batch that is not full waits, in milliseconds.
    pub fn window(self, millis: u32) -> Program {
        self.env("MAILROOM_BATCH_TIMEOUT", millis.to_string())
    }

    /// Sets how long what was claimed belongs to whoever claimed it, in milliseconds.
    pub fn lease(self, millis: u32) -> Program {
        self.env("MAILROOM_LEASE", millis.to_string())
    }

    /// Sets how often the database is asked for what no notification told of, in milliseconds.
    pub fn healthcheck(self, millis: u32) -> Program {
        self.env("MAILROOM_HEALTHCHECK_INTERVAL", millis.to_string())
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away.
    pub fn without(mut self, name: &str) -> Program {
        self.command.env_remove(name);
        self
    }

    /// Runs it in the process of a shell that has done this first.
    pub fn after(self, script: &str) -> Program {
        let Program { command: bare, dir } = self;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{script}; exec \"$0\" \"$@\"")]);
        command.arg(bare.get_program()).args(bare.get_args()).env_clear().current_dir(dir.path());
        command.envs(bare.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Program { command, dir }
    }

    /// Uses this as standard input.
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Program {
        self.command.stdin(stdin);
        self
    }

    /// Uses this as standard output, which then cannot be read here.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Program {
        self.command.stdout(stdout);
        self
    }

    /// Uses this as standard error, which then cannot be read here.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Program {
        self.command.stderr(stderr);
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let out = child.stdout.take().map_or_else(Text::elsewhere, Text::follow);
        let log = child.stderr.take().map_or_else(Text::elsewhere, Text::follow);
        let stdin = child.stdin.take();
        Running { child, stdin, out, log, dir: self.dir, checked: false }
    }

    /// Starts it, gives it this input, and waits for its end.
    pub fn input(mut self, input: impl AsRef<[u8]>) -> Finished {
        self.command.stdin(Stdio::piped());
        let mut running = self.start();
        running.write(input);
        running.close_input();
        running.finish()
    }

    /// Starts it and waits for its end.
    pub fn output(self) -> Finished {
        self.start().finish()
    }
}

/// A process that was started. Dropping it kills it.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Text,
    log: Text,
    /// Its home and working directory; `output/` is in it.
    pub dir: tempfile::TempDir,
    checked: bool,
}

/// How a process ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub log: String,
    /// What was in `output/undelivered.csv`, or empty.
    pub undelivered: String,
}

impl Finished {
    /// The addresses of all messages in whole lines of standard output.
    pub fn written(&self) -> Vec<String> {
        addresses(&whole_lines(&self.out))
    }
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Waits until the log holds `text`.
    pub fn wait_log(&self, text: &str) {
        self.wait_log_times(text, 1);
    }

    /// Waits until the log holds `text` so many times.
    pub fn wait_log_times(&self, text: &str, times: usize) {
        let found =
            self.log.wait(PATIENCE, |log| (log.matches(text).count() >= times).then_some(()));
        assert!(found.is_some(), "no {text:?} ({times} times) in the log:\n{}", self.log.get());
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        self.log.get()
    }

    /// Waits until standard output has at least `count` lines and gives all there are.
    pub fn wait_lines(&self, count: usize) -> Vec<String> {
        let lines = |text: &str| Some(whole_lines(text)).filter(|whole| whole.len() >= count);
        self.out.wait(PATIENCE, lines).unwrap_or_else(|| {
            panic!("fewer than {count} lines:\n{}\nlog:\n{}", self.out.get(), self.log.get())
        })
    }

    /// What was written to standard output so far.
    pub fn out(&self) -> String {
        self.out.get()
    }

    /// Writes to its standard input.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("standard input is a pipe");
        stdin.write_all(bytes.as_ref()).unwrap();
        stdin.flush().unwrap();
    }

    /// Ends its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits until all signals that it was sent were delivered. Two of a kind are one before.
    pub fn wait_delivered(&self) {
        let path = format!("/proc/{}/status", self.pid());
        wait_until("its signals are delivered", || {
            let status = std::fs::read_to_string(&path).unwrap();
            let mut lines = status.lines().filter_map(|line| line.strip_prefix("ShdPnd:"));
            lines.all(|mask| mask.trim().bytes().all(|digit| digit == b'0'))
        });
    }

    /// Waits until it has slept and has been woken so many times more: it had its turn, and did not
    /// do what it must not do.
    pub fn wait_turns(&self, turns: u64) {
        let before = self.status("voluntary_ctxt_switches");
        wait_until("it had its turn", || self.status("voluntary_ctxt_switches") >= before + turns);
    }

    /// A value from /proc/PID/status, such as `Threads` or `VmHWM` (in kB).
    pub fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks it to stop and waits for its end.
    pub fn stop(self) -> Finished {
        assert_eq!(self.status("Threads"), 1, "a thread was started");
        self.signal(Signal::SIGTERM);
        self.finish()
    }

    /// Asks it to stop, and sees that it ends well and in time.
    pub fn stop_in_time(self) -> Finished {
        assert_eq!(self.status("Threads"), 1, "a thread was started");
        self.signal(Signal::SIGTERM);
        let finished = self.finish_within(ENDED);
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        finished
    }

    /// Sends it a signal again and again, as who is impatient does, and waits for its end.
    pub fn insist(mut self, signal: Signal) -> Finished {
        wait_until("it ends", || {
            let running = self.is_running();
            if running {
                self.signal(signal);
            }
            !running
        });
        self.finish()
    }

    /// Kills it and waits until it is gone.
    pub fn kill(self) -> Finished {
        self.signal(Signal::SIGKILL);
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(self) -> Finished {
        self.finish_within(PATIENCE)
    }

    fn finish_within(mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end; log:\n{}", self.log.get());
            std::thread::sleep(Duration::from_millis(5));
        };
        // The streams may be held open by nobody else now: wait for their ends.
        self.out.wait(Duration::from_secs(2), |_| None::<()>);
        self.log.wait(Duration::from_secs(2), |_| None::<()>);
        self.check();
        let undelivered = self.output_dir().join("undelivered.csv");
        Finished {
            code: status.code(),
            out: self.out.get(),
            log: self.log.get(),
            undelivered: std::fs::read_to_string(undelivered).unwrap_or_default(),
        }
    }

    /// Where it keeps responses and `undelivered.csv` by default.
    pub fn output_dir(&self) -> PathBuf {
        self.dir.path().join("output")
    }

    /// The log must hold no key, no token, and no secret of a token that it wrote.
    fn check(&mut self) {
        self.checked = true;
        let log = self.log.get();
        assert!(!log.contains(KEY), "the key is in the log:\n{log}");
        assert!(!log.contains("wJalrXUtnFEMI"), "the AWS key is in the log:\n{log}");
        let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        for word in log.split(|c| !is_token(c)) {
            assert!(word.len() < 86, "a token is in the log: {word}\n{log}");
        }
        for field in self.out.get().split([',', '\n']).filter(|field| field.len() == 86) {
            if let Ok(bytes) = URL_SAFE_NO_PAD.decode(field) {
                let secret = hex::encode(&bytes[..32]);
                assert!(!log.contains(&secret), "a secret is in the log:\n{log}");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.checked && !std::thread::panicking() {
            self.check();
        }
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for forty statements more to a database of [`super::cluster::telling`], and sees that they
/// took the half second that they must: whoever asks without a pause is done with them in less.
pub fn assert_no_busy_loop(database: &Database) {
    let begun = Instant::now();
    let before = logged(database).len();
    wait_until("it asks again", || logged(database).len() >= before + 40);
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
}

/// The lines of a text that are ended; the rest of a process that was killed is no line.
pub fn whole_lines(text: &str) -> Vec<String> {
    let end = text.rfind('\n').unwrap_or_default();
    text[..end].lines().map(str::to_owned).collect()
}

/// The addresses of all messages of these lines, in their order.
pub fn addresses(lines: &[String]) -> Vec<String> {
    lines.iter().flat_map(|line| messages(line)).map(|[_, email, ..]| email).collect()
}

/// The messages of one line of the wire: `[action, email, login, secret, code]` each.
pub fn messages(line: &str) -> Vec<[String; 5]> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
    let record = reader.records().next().unwrap().unwrap();
    let fields: Vec<String> = record.iter().map(str::to_owned).collect();
    assert_eq!(fields.len() % 5, 0, "{line}");
    fields.chunks(5).map(|chunk| chunk.to_vec().try_into().unwrap()).collect()
}
