//! `mailroom list`: subscribers taken from a file, written out, counted.

use crate::edges::log;
use crate::edges::pg::session::Session;
use crate::lists::file::{COLUMNS, Columns};
use crate::lists::members;
use crate::lists::members::CHUNK;
use crate::mail::error::{Error, Kind};
use crate::ops::database::LONG;
use crate::ops::screen::page::{bar, clean};
use crate::ops::settings::{Verb, operation};
use crate::ops::terminal::{page, print};
use csv::{ReaderBuilder, StringRecord, Writer};
use pico_args::Arguments;
use std::fs::File;
use std::io::{IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

/// The longest line, in bytes: a quote that is never closed must not swallow the memory.
const LINE: u64 = 1 << 20;

/// Stands behind the file, on a line of its own: a quote that is never closed ends here, with what no
/// line may hold.
const END: &str = "\0";

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let confirmed = args.contains("--confirmed");
    let mut word = || args.opt_free_from_str::<String>();
    let (verb, list, file) = (word()?.unwrap_or_default(), word()?, word()?);
    match (verb.as_str(), list, file) {
        ("import", Some(list), Some(file)) => Ok(operation("list", move |_, session, _| {
            import(session, &list, &PathBuf::from(file), confirmed)
        })),
        ("export", Some(list), None) if !confirmed => {
            Ok(operation("list", move |_, session, _| export(session, &list)))
        }
        ("show", list, None) if !confirmed => {
            Ok(operation("list", move |_, session, _| show(session, list.as_deref())))
        }
        _ => Err(Error::usage(
            "list needs one of: import LIST FILE.csv [--confirmed], export LIST, show [LIST]",
        )),
    }
}

/// A file that is read, and how much of its line was.
struct Input {
    from: Box<dyn Read>,
    line: u64,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.line += count as u64;
        if self.line > LINE {
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
    let from = Box::new(from.chain("\n".as_bytes()).chain(END.as_bytes()));
    let input = Input { from, line: 0 };
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
        reader.get_mut().line = 0;
        let at = record.position().map_or(0, csv::Position::line);
        match &columns {
            _ if !more || record == [END][..] => {}
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
            let left =
                session.call(LONG, |client| members::import(client, list, confirmed, &chunk))?;
            taken += chunk.len() - left.len();
            for (place, why) in left {
                refuse(&mut refused, lines.get(place).copied().unwrap_or_default(), &why);
            }
            chunk.clear();
            lines.clear();
            if draws {
                // Erased at the end: what is said afterwards begins a line.
                let done = bar(reader.position().byte(), size, 40);
                let _ = write!(std::io::stderr(), "\r{done}\u{1b}[K");
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
        _ => Err(Error::new(Kind::Data, format!("lines that were not taken: {refused}"))),
    }
}

fn refuse(refused: &mut u64, line: u64, why: &str) {
    *refused += 1;
    log::end(format_args!("line {line} was not taken: {}", clean(why)));
}

fn require(session: &mut Session, list: &str) -> Result<(), Error> {
    match session.call(LONG, |client| members::exists(client, list))? {
        true => Ok(()),
        false => Err(Error::new(Kind::Data, format!("there is no list {}", clean(list)))),
    }
}

fn export(session: &mut Session, list: &str) -> Result<(), Error> {
    require(session, list)?;
    let (mut lines, mut after) = (vec![COLUMNS.map(str::to_owned).to_vec()], 0);
    while !lines.is_empty() {
        let mut writer = Writer::from_writer(Vec::new());
        for line in &lines {
            // Writing into memory cannot fail.
            let _ = writer.write_record(line);
        }
        page(&String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default())?;
        let some = session.call(LONG, |client| members::export(client, list, after))?;
        after = some.last().map_or(after, |(id, _)| *id);
        lines = some.into_iter().map(|(_, line)| line).collect();
    }
    Ok(())
}

fn show(session: &mut Session, list: Option<&str>) -> Result<(), Error> {
    if let Some(list) = list {
        require(session, list)?;
    }
    let sizes = session.call(LONG, |client| members::sizes(client, list))?;
    let line = |(list, [confirmed, pending, unsubscribed, suppressed]): &(String, [i64; 4])| {
        format!(
            "{list}: {confirmed} confirmed, {pending} pending, {unsubscribed} unsubscribed, \
             {suppressed} suppressed\n"
        )
    };
    match sizes.is_empty() {
        true => page("there are no lists\n"),
        false => page(&sizes.iter().map(line).collect::<String>()),
    }
}
