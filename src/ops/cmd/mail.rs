//! `mailroom mail`: one mail is asked for, and followed if that is wished.

use crate::edges::log;
use crate::edges::pg::session::Session;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::database::{STEP, open};
use crate::ops::screen::page::clean;
use crate::ops::settings::Verb;
use crate::ops::terminal::print;
use crate::queue::request;
use crate::queue::request::Request;
use pico_args::Arguments;
use std::time::Duration;

/// Between two looks at a mail that is followed.
const AGAIN: Duration = Duration::from_millis(500);

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    // Flags first: what is left over are words.
    let mut value = |flag| args.opt_value_from_str::<_, String>(flag);
    let (data, locale) = (value("--data")?, value("--locale")?);
    let (key, at) = (value("--key")?, value("--at")?);
    let wait = args.contains("--wait");
    let mut word = || args.opt_free_from_str::<String>();
    let (Some(kind), Some(address)) = (word()?, word()?) else {
        return Err(Error::usage("mail needs a kind and an address"));
    };
    if let Some(flag) = [&kind, &address].into_iter().find(|word| word.starts_with('-')) {
        return Err(Error::usage(format!(
            "`mailroom mail` does not take {flag}, or takes it once"
        )));
    }
    Ok(Box::new(move |given, stop| {
        let data = data.as_deref().map(read).transpose()?;
        let request = Request {
            kind: &kind,
            recipient: &address,
            data: data.as_deref(),
            locale: locale.as_deref(),
            key: key.as_deref(),
            not_before: at.as_deref(),
        };
        run(&given.config, &request, wait, stop)
    }))
}

/// Asks for it and prints the id of its delivery; follows it to its end if told to `wait`.
fn run(config: &Config, request: &Request<'_>, wait: bool, stop: &Stop) -> Result<(), Error> {
    let mut session = open(config, "mail", stop)?;
    if wait {
        // Whoever may not look is to know before the mail is on its way.
        session.call(STEP, |client| request::progress(client, 0)).map_err(|fault| {
            let mut error = Error::from(fault);
            error.message += "; --wait looks at the view mails";
            error
        })?;
    }
    let asked = session.call(STEP, |client| request::send(client, request))?;
    let id = asked.map_err(|refused| Error::new(refused.kind, clean(&refused.message)))?;
    print(&format!("{id}\n"))?;
    if wait { follow(&mut session, id, stop) } else { Ok(()) }
}

/// The text, or that of the file which is named after `@`.
pub fn read(data: &str) -> Result<String, Error> {
    let Some(path) = data.strip_prefix('@') else { return Ok(data.to_owned()) };
    std::fs::read_to_string(path)
        .map_err(|error| Error::io(format_args!("--data: {path} cannot be read"), error))
}

fn follow(session: &mut Session, id: i64, stop: &Stop) -> Result<(), Error> {
    let mut said = String::new();
    loop {
        let found = session.call(STEP, |client| request::progress(client, id))?;
        let [state, cause, provider_id] = found.ok_or_else(|| {
            let why = "its end is not known: it was settled and removed (MAILROOM_RETENTION)";
            Error::new(Kind::Unavailable, format!("mail {id}: {why}"))
        })?;
        match state.as_str() {
            "pending" | "leased" => {
                let now = format!("{state} {cause}");
                if now != said {
                    log::info("MAIL", format_args!("mail {id}: {}", now.trim_end()));
                    said = now;
                }
                stop.sleep(AGAIN);
            }
            "sent" => {
                let line = format!("sent {}", clean(&provider_id));
                return print(&format!("{}\n", line.trim_end()));
            }
            state => {
                // Who may see that it ended may see no more.
                let why = session.call(STEP, |client| request::reason(client, id));
                let why = why.unwrap_or_default();
                let mut parts = vec![state, &cause, &why];
                parts.dedup();
                parts.retain(|part| !part.is_empty());
                let why = format!("mail {id}: {}", parts.join(": "));
                return Err(Error::new(Kind::Data, clean(&why)));
            }
        }
    }
}
