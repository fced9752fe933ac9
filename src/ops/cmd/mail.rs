//! `mailroom mail`: one mail is asked for, and followed if that is wished.

use crate::edges::pg::session::Session;
use crate::edges::stop::Stop;
use crate::mail::error::{Error, Kind};
use crate::ops::config::Config;
use crate::ops::database::{STEP, open, unusable};
use crate::ops::screen::page::clean;
use crate::ops::settings::Verb;
use crate::ops::terminal::print;
use crate::queue::request;
use crate::queue::request::{Refused, Request};
use pico_args::Arguments;
use std::time::Duration;

/// Between two looks at a mail that is followed.
const AGAIN: Duration = Duration::from_millis(500);

/// One mail that is asked for.
struct Mail {
    /// Its kind.
    kind: String,
    /// To whom.
    address: String,
    /// JSON, or `@` and the name of a file that holds it.
    data: Option<String>,
    /// The language.
    locale: Option<String>,
    /// The same key is the same mail.
    key: Option<String>,
    /// Not before this moment, as PostgreSQL reads it.
    at: Option<String>,
    /// Follow it to its end.
    wait: bool,
}

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    // Flags first: what is left over are words.
    let mut value = |flag| args.opt_value_from_str(flag);
    let (data, locale) = (value("--data")?, value("--locale")?);
    let (key, at) = (value("--key")?, value("--at")?);
    let wait = args.contains("--wait");
    let mut word = || args.opt_free_from_str();
    let (Some(kind), Some(address)) = (word()?, word()?) else {
        return Err(Error::usage("mail needs a kind and an address"));
    };
    let mail = Mail { kind, address, data, locale, key, at, wait };
    Ok(Box::new(move |given, stop| run(&given.config, &mail, stop)))
}

/// Asks for it and prints the id of its delivery.
fn run(config: &Config, mail: &Mail, stop: &Stop) -> Result<(), Error> {
    let data = mail.data.as_deref().map(read).transpose()?;
    let request = Request {
        kind: &mail.kind,
        recipient: &mail.address,
        data: data.as_deref(),
        locale: mail.locale.as_deref(),
        key: mail.key.as_deref(),
        not_before: mail.at.as_deref(),
    };
    let mut session = open(config, "mail", stop)?;
    if mail.wait {
        // Whoever may not look is to know before the mail is on its way.
        session.call(STEP, |client| request::progress(client, 0)).map_err(|fault| {
            let mut error = unusable(fault);
            error.message += "; --wait looks at the view mails";
            error
        })?;
    }
    let asked = session.call(STEP, |client| request::send(client, &request));
    let id = asked.map_err(unusable)?.map_err(|refused| match refused {
        Refused::Input(why) => Error::new(Kind::Data, clean(&why)),
        Refused::Setup(why) => Error::config(clean(&why)),
    })?;
    print(&format!("{id}\n"))?;
    if mail.wait { follow(&mut session, id, stop) } else { Ok(()) }
}

/// The text, or that of the file which is named after `@`.
pub fn read(data: &str) -> Result<String, Error> {
    let Some(path) = data.strip_prefix('@') else { return Ok(data.to_owned()) };
    std::fs::read_to_string(path)
        .map_err(|error| Error::io(format_args!("--data: {path} cannot be read"), error))
}

fn follow(session: &mut Session, id: i64, stop: &Stop) -> Result<(), Error> {
    loop {
        let found = session.call(STEP, |client| request::progress(client, id)).map_err(unusable)?;
        let found = found.ok_or_else(|| {
            let why = "its end is not known: it was settled and removed (MAILROOM_RETENTION)";
            Error::new(Kind::Unavailable, format!("mail {id}: {why}"))
        })?;
        match found.state.as_str() {
            "pending" | "leased" => stop.sleep(AGAIN),
            "sent" => {
                let line = format!("sent {}", clean(&found.provider_id));
                return print(&format!("{}\n", line.trim_end()));
            }
            state => {
                // Who may see that it ended may see no more.
                let why = session.call(STEP, |client| request::reason(client, id));
                let why = why.unwrap_or_default();
                let mut parts = vec![state, &found.cause, &why];
                parts.dedup();
                parts.retain(|part| !part.is_empty());
                let why = format!("mail {id}: {}", parts.join(": "));
                return Err(Error::new(Kind::Data, clean(&why)));
            }
        }
    }
}
