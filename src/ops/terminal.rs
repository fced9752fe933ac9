//! Standard output as people see it.

use crate::mail::error::{Error, Kind};
use crate::ops::environment::env;
use crate::ops::screen::page::Look;
use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// Writes to standard output, where a reader that is gone is an error like any other.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Error::io("writing to standard output failed", error))
}

/// As [`print()`]; a reader that has seen enough (`| head`) ends the command, and well.
pub fn page(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Error::new(Kind::Enough, "")),
        done => done.map_err(|error| Error::io("writing to standard output failed", error)),
    }
}

/// What standard output is: <https://no-color.org> for the colours.
pub fn look() -> Look {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let columns = || set("COLUMNS").and_then(|text| text.parse().ok());
    Look {
        width: size().map(|(columns, _)| columns).or_else(columns).unwrap_or(80),
        colour: std::io::stdout().is_terminal()
            && set("NO_COLOR").is_none()
            && set("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// As [`look`]; what no person looks at directly is not cut.
pub fn look_whole() -> Look {
    let seen = std::io::stdout().is_terminal() || env("COLUMNS").is_some();
    Look { width: if seen { look().width } else { usize::MAX }, ..look() }
}

/// Columns and rows of the terminal, if it is one that knows.
pub fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}
