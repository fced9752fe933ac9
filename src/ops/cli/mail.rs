//! The words after `mailroom mail`.

use crate::mail::error::Error;
use crate::ops::cli::words::usage;
use pico_args::Arguments;

/// One mail that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its kind.
    pub kind: String,
    /// To whom.
    pub address: String,
    /// JSON, or `@` and the name of a file that holds it.
    pub data: Option<String>,
    /// The language.
    pub locale: Option<String>,
    /// The same key is the same mail.
    pub key: Option<String>,
    /// Not before this moment, as PostgreSQL reads it.
    pub at: Option<String>,
    /// Follow it to its end.
    pub wait: bool,
}

/// Reads them.
///
/// # Errors
/// What is wrong with them.
pub fn parse(args: &mut Arguments) -> Result<Mail, Error> {
    // Flags first: what is left over are words.
    let [data, locale, key, at] =
        ["--data", "--locale", "--key", "--at"].map(|flag| args.opt_value_from_str(flag));
    let (data, locale, key, at) =
        (data.map_err(usage)?, locale.map_err(usage)?, key.map_err(usage)?, at.map_err(usage)?);
    let wait = args.contains("--wait");
    let mut word = || args.opt_free_from_str().map_err(usage);
    let (Some(kind), Some(address)) = (word()?, word()?) else {
        return Err(Error::usage("mail needs a kind and an address"));
    };
    Ok(Mail { kind, address, data, locale, key, at, wait })
}
