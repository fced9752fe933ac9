//! Signals: the first request to stop raises the flag, a second one ends the process.
//!
//! In scope: SIGTERM, SIGINT, SIGHUP (a terminal that is closed), and the alarm that ends a process
//! which cannot stop in time. SIGPIPE stays ignored, as Rust sets it: a reader that is gone is an
//! error of the write; so is a file that may not grow (SIGXFSZ).

use crate::edges::stop::Stop;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Milliseconds in which a second request is the first one: timeout(1) signals the program, and at once
/// also the group that it is in.
const TOGETHER: u64 = 1000;

/// No request has come.
const NEVER: u64 = u64::MAX;

/// Seconds after which a process that was asked to stop ends, whatever holds it.
const LAST_RESORT: u32 = 7;

/// Makes SIGTERM, SIGINT and SIGHUP raise `stop`; the last one not if it was ignored before, as
/// nohup(1) has it.
///
/// Another one of the first two, a second later or more, ends the process at once with status 1; a
/// process that is still there seven seconds after the first ends with status `overdue`: 0 if nothing is
/// lost with it.
///
/// # Errors
/// The system refused a handler.
pub fn install(stop: &Stop, overdue: u8) -> Result<(), String> {
    // A signal that came between the first handler and the second would be lost: it waits.
    let asked: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect();
    let refused = |error: nix::Error| refuse(&error.into());
    let before = asked.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(refused)?;
    let installed = handle(stop, overdue.into());
    before.thread_set_mask().map_err(refused)?;
    installed.map_err(|error| refuse(&error))
}

fn refuse(error: &std::io::Error) -> String {
    format!("cannot handle signals: {error}")
}

fn handle(stop: &Stop, overdue: i32) -> Result<(), std::io::Error> {
    let (begun, asked_at) = (Instant::now(), Arc::new(AtomicU64::new(NEVER)));
    for signal in [SIGTERM, SIGINT] {
        flag::register(signal, stop.flag())?;
        insist(signal, begun, Arc::clone(&asked_at))?;
        arm(signal)?;
    }
    // A shell that ends with its terminal sends a second one: nobody is impatient.
    if !is_ignored(SIGHUP) {
        flag::register(SIGHUP, stop.flag())?;
        arm(SIGHUP)?;
    }
    // One that is handled does not end the process, and the write says what is wrong.
    flag::register(SIGXFSZ, Arc::default())?;
    let always = Arc::new(AtomicBool::new(true));
    flag::register_conditional_shutdown(SIGALRM, overdue, always)?;
    Ok(())
}

/// Whether whoever started us wants this signal ignored: a mask in hexadecimal.
/// <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Lets `signal` end the process if one came before, at `asked_at` milliseconds after `begun`.
#[allow(unsafe_code)]
fn insist(signal: i32, begun: Instant, asked_at: Arc<AtomicU64>) -> Result<(), std::io::Error> {
    // SAFETY: the handler reads the clock and ends the process (clock_gettime(2), _exit(2)), which POSIX
    // lists as async-signal-safe, and touches no memory but the number.
    unsafe {
        low_level::register(signal, move || {
            let now = u64::try_from(begun.elapsed().as_millis()).unwrap_or(NEVER);
            let first = asked_at.compare_exchange(NEVER, now, Ordering::Relaxed, Ordering::Relaxed);
            if first.is_err_and(|first| now.saturating_sub(first) >= TOGETHER) {
                low_level::exit(1);
            }
        })
    }
    .map(drop)
}

/// Lets `signal` set the alarm.
#[allow(unsafe_code)]
fn arm(signal: i32) -> Result<(), std::io::Error> {
    // SAFETY: the handler calls only alarm(2), which POSIX lists as async-signal-safe, and
    // touches no memory. A look-up in the resolver cannot be interrupted any other way.
    unsafe {
        low_level::register(signal, || {
            let _ = nix::unistd::alarm::set(LAST_RESORT);
        })
    }
    .map(drop)
}
