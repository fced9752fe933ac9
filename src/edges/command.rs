//! A command of the user's that prints a secret.
//!
//! In scope: starting it without a shell and without our own secrets, waiting for it no longer than a
//! deadline. What it says on standard error is not kept: it may hold anything.

use crate::edges::net::ready;
use crate::edges::stop::{SLICE, Stop};
use crate::edges::words::split;
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long it may take: well below the lease of the mails that wait for it.
const DEADLINE: Duration = Duration::from_secs(20);
/// The longest output.
const LONGEST: usize = 64 * 1024;

/// Variables of ours, secrets among them, that no other program needs; but for these it gets all of
/// ours, for nobody knows where it looks for its own.
fn is_ours(name: &OsStr) -> bool {
    name == "PGPASSWORD" || name.as_encoded_bytes().starts_with(b"MAILROOM_")
}

/// Why there is no output.
pub enum Failure {
    /// A person must act.
    Setup(String),
    /// It may work soon.
    Passing(String),
}

/// Runs a command line and gives what it prints, once it has ended well.
///
/// # Errors
/// It cannot be started, ends with a status of its own, takes too long or prints too much.
pub fn output(line: &str, stop: &Stop) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let setup = Failure::Setup;
    let words = split(line).ok_or_else(|| setup("a quote is not closed".to_owned()))?;
    let (program, arguments) =
        words.split_first().ok_or_else(|| setup("it names no program".to_owned()))?;
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // So that whatever it starts can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| setup(format!("cannot start {program:?}: {error}")))?;
    let ended = wait(&mut child, stop, DEADLINE);
    if ended.is_err() {
        end(&mut child);
    }
    let (output, status) = ended.map_err(Failure::Passing)?;
    if !status.success() {
        let why = format!("it ended with {status}; run it by hand to see what it says");
        return Err(Failure::Passing(why));
    }
    Ok(output)
}

/// Reads the output until its end and waits for the program's.
fn wait(
    child: &mut Child,
    stop: &Stop,
    limit: Duration,
) -> Result<(Zeroizing<Vec<u8>>, ExitStatus), String> {
    let until = Instant::now() + limit;
    let left = || {
        let left = until.saturating_duration_since(Instant::now());
        match (stop.requested(), left.is_zero()) {
            (true, _) => Err("given up because mailroom was asked to stop".to_owned()),
            (_, true) => Err(format!("it takes more than {} s", limit.as_secs())),
            _ => Ok(left.min(SLICE)),
        }
    };
    let mut pipe = child.stdout.take().ok_or("it has no standard output")?;
    // With room for all of it, no copies are left where the buffer was before it grew.
    let mut output = Zeroizing::new(vec![0; LONGEST]);
    let mut length = 0;
    loop {
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if !ready(&mut fds, left()?).map_err(|error| error.to_string())? {
            continue;
        }
        let room = output.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            return Err(format!("it prints more than {LONGEST} bytes"));
        }
        match pipe.read(room).map_err(|error| error.to_string())? {
            0 => break,
            read => length += read,
        }
    }
    output.truncate(length);
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok((output, status));
        }
        stop.sleep(left()?.min(Duration::from_millis(5)));
    }
}

/// Ends the program and what it started.
fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(line: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdout(Stdio::piped()).process_group(0);
        command.spawn().unwrap()
    }

    #[test]
    fn a_process_that_is_silent_or_never_ends_is_given_up_at_the_deadline() {
        for line in ["sleep 1000", "while :; do echo; sleep 0.01; done", "exec >&-; sleep 1000"] {
            let mut child = start(line);
            let begun = Instant::now();
            let error = wait(&mut child, &Stop::new(), Duration::from_secs(1)).unwrap_err();
            end(&mut child);
            assert_eq!(error, "it takes more than 1 s", "{line}");
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn what_is_printed_in_pieces_is_read_to_its_end() {
        let mut child = start("printf a; sleep 0.1; printf b; exit 3");
        let (output, status) = wait(&mut child, &Stop::new(), DEADLINE).unwrap();
        assert_eq!((output.as_slice(), status.code()), (b"ab".as_slice(), Some(3)));
    }
}
