//! `mailroom list`: subscribers taken from a file, written out, counted.

use crate::edges::log;
use crate::edges::pg::session::Session;
use crate::edges::stop::Stop;
use crate::lists::file::{COLUMNS, Columns};
use crate::lists::members;
use crate::lists::members::CHUNK;
use crate::mail::error::{Error, Kind};
use crate::ops::cli::list::List;
use crate::ops::cmd::publish::may_publish;
use crate::ops::config::Config;
use crate::ops::database::session;
use crate::ops::screen::page::{bar, clean};
use crate::ops::terminal::{page, print};
use csv::{ReaderBuilder, StringRecord, Writer};
use std::cell::Cell;
use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The longest that a statement may take; the server's own limit is shorter.
const STEP: Duration = Duration::from_secs(30);

/// The longest line, in bytes: a quote that is never closed must not swallow the memory.
const LINE: u64 = 1 << 20;

/// Does it.
pub fn run(config: &Config, what: &List, stop: &Stop) -> Result<(), Error> {
    let mut session = session(config, "list", stop)?;
    match what {
        List::Import { list, file, confirmed } => import(&mut session, list, file, *confirmed),
        List::Export(list) => export(&mut session, list),
        List::Show(list) => show(&mut session, list.as_deref()),
    }
}

/// A file that is read: how far, and how much of its line.
struct Input {
    from: Box<dyn Read>,
    read: Rc<Cell<u64>>,
    line: Rc<Cell<u64>>,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        self.line.set(self.line.get() + count as u64);
        if self.line.get() > LINE {
            return Err(std::io::Error::other("a line is too long: is a quote never closed?"));
        }
        Ok(count)
    }
}

fn import(session: &mut Session, list: &str, path: &Path, confirmed: bool) -> Result<(), Error> {
    require(session, list)?;
    let unreadable = |error| Error::io(format_args!("{} cannot be read", path.display()), error);
    let (from, size): (Box<dyn Read>, u64) = match path.to_str() {
        Some("-") => (Box::new(std::io::stdin()), 0),
        _ => {
            let file = File::open(path).map_err(unreadable)?;
            let size = file.metadata().map_or(0, |found| found.len());
            (Box::new(file), size)
        }
    };
    let (read, line) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let input = Input { from, read: Rc::clone(&read), line: Rc::clone(&line) };
    let mut reader = ReaderBuilder::new().flexible(true).has_headers(false).from_reader(input);
    let (mut record, mut columns) = (StringRecord::new(), None);
    let (mut taken, mut refused, mut chunk, mut lines) = (0, 0, Vec::new(), Vec::new());
    let draws = size > 0 && std::io::stderr().is_terminal();
    loop {
        let more = match reader.read_record(&mut record) {
            Ok(more) => more,
            Err(error) => match error.into_kind() {
                csv::ErrorKind::Io(error) => return Err(unreadable(error)),
                csv::ErrorKind::Utf8 { pos, .. } => {
                    refuse(&mut refused, pos.map_or(0, |pos| pos.line()), "it is not UTF-8");
                    continue;
                }
                _ => return Err(Error::new(Kind::Data, "the file is no CSV")),
            },
        };
        line.set(0);
        let at = record.position().map_or(0, csv::Position::line);
        match &columns {
            _ if !more => {}
            None => {
                columns = Some(Columns::read(&record).map_err(|why| Error::new(Kind::Data, why))?);
            }
            Some(columns) => match columns.subscriber(&record) {
                Ok(one) => {
                    chunk.push(one);
                    lines.push(at);
                }
                Err(why) => refuse(&mut refused, at, &why),
            },
        }
        if chunk.len() == CHUNK || !more {
            let left = session
                .call(STEP, |client| members::import(client, list, confirmed, &chunk))
                .map_err(may_publish)?;
            taken += chunk.len() - left.len();
            for (place, why) in left {
                refuse(&mut refused, lines.get(place).copied().unwrap_or_default(), &why);
            }
            chunk.clear();
            lines.clear();
            if draws {
                // Erased at the end: what is said afterwards begins a line.
                let _ = write!(std::io::stderr(), "\r{}\u{1b}[K", bar(read.get(), size, 40));
            }
        }
        if !more {
            break;
        }
    }
    if draws {
        let _ = write!(std::io::stderr(), "\r\u{1b}[K");
    }
    if columns.is_none() {
        return Err(Error::new(Kind::Data, "the file is empty"));
    }
    let how = if confirmed { "on the list" } else { "asked by mail, unless they are on it" };
    print(&format!("{taken} {how}\n"))?;
    match refused {
        0 => Ok(()),
        _ => Err(Error::new(Kind::Data, format!("{refused} lines were not taken"))),
    }
}

fn refuse(refused: &mut u64, line: u64, why: &str) {
    *refused += 1;
    log::end(format_args!("line {line} was not taken: {}", clean(why)));
}

fn require(session: &mut Session, list: &str) -> Result<(), Error> {
    match session.call(STEP, |client| members::exists(client, list)).map_err(may_publish)? {
        true => Ok(()),
        false => Err(Error::new(Kind::Data, format!("there is no list {}", clean(list)))),
    }
}

fn export(session: &mut Session, list: &str) -> Result<(), Error> {
    require(session, list)?;
    let write = |lines: &[Vec<String>]| {
        let mut writer = Writer::from_writer(Vec::new());
        for line in lines {
            // Writing into memory cannot fail.
            let _ = writer.write_record(line);
        }
        page(&String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default())
    };
    write(&[COLUMNS.map(str::to_owned).to_vec()])?;
    let mut after = 0;
    loop {
        let some = session
            .call(STEP, |client| members::export(client, list, after))
            .map_err(may_publish)?;
        let Some((last, _)) = some.last() else { return Ok(()) };
        after = *last;
        write(&some.into_iter().map(|(_, line)| line).collect::<Vec<_>>())?;
    }
}

fn show(session: &mut Session, list: Option<&str>) -> Result<(), Error> {
    if let Some(list) = list {
        require(session, list)?;
    }
    let sizes = session.call(STEP, |client| members::sizes(client, list)).map_err(may_publish)?;
    let line = |size: &members::Size| {
        format!(
            "{}: {} confirmed, {} pending, {} unsubscribed, {} suppressed\n",
            size.list, size.confirmed, size.pending, size.unsubscribed, size.suppressed
        )
    };
    match sizes.is_empty() {
        true => page("there are no lists\n"),
        false => page(&sizes.iter().map(line).collect::<String>()),
    }
}
