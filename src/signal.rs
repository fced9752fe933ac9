//! Signals: the first request to stop raises the flag, the second ends the process.
//!
//! In scope: SIGTERM, SIGINT, and the alarm that ends a process which cannot stop in time.
//! SIGPIPE stays ignored, as Rust sets it: a reader that is gone is an error of the write.

use crate::error::{Error, Kind};
use crate::stop::Stop;
use signal_hook::consts::{SIGALRM, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Seconds after which a process that was asked to stop ends, whatever holds it. Its deliveries
/// are safe: they stay leased in the database until the lease runs out.
const LAST_RESORT: u32 = 7;

/// Makes SIGTERM and SIGINT raise `stop`.
///
/// A second one ends the process at once with status 1; a process that is still there seven
/// seconds after the first ends with status 0.
///
/// # Errors
/// The system refused a handler.
pub fn install(stop: &Stop) -> Result<(), Error> {
    let refused = |error| Error::new(Kind::Bug, format!("cannot handle signals: {error}"));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the shutdown looks at the flag before this signal raises it.
        flag::register_conditional_shutdown(signal, 1, stop.flag()).map_err(refused)?;
        flag::register(signal, stop.flag()).map_err(refused)?;
        arm(signal).map_err(refused)?;
    }
    let always = Arc::new(AtomicBool::new(true));
    flag::register_conditional_shutdown(SIGALRM, 0, always).map_err(refused)?;
    Ok(())
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
