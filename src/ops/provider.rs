//! Who sends: the list of providers, and what the commands ask of each.
//!
//! A new provider is a transport in `send/`, a file in this folder that reads its settings, builds
//! the transport and checks what it needs, a line in `PROVIDERS`, and its settings in the table of
//! `ops/config.rs`.

pub mod duties;
#[cfg(feature = "postmark")]
mod postmark;
pub mod ses;
#[cfg(feature = "smtp")]
mod smtp;
pub mod templates;

use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::config::values::choice;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates::Open;
use crate::ops::streams::stream;
use crate::pipe::undelivered;
use crate::pump::system_clock;
use crate::send::dry::Dry;
use std::os::fd::AsFd as _;

/// A provider that can be chosen. Where one of its settings is wrong without which nothing can be said
/// of it, both give `None`, and the reader keeps what.
pub struct Known {
    name: &'static str,
    /// Reads the settings that it alone has.
    pub read: fn(&mut Reader<'_>) -> Option<Box<dyn Provider>>,
    /// Reads those that its templates need.
    pub templates: fn(&mut Reader<'_>) -> Option<Open>,
}

/// The providers of this build.
const PROVIDERS: &[Known] = &[
    Known { name: "ses", read: ses::read, templates: ses::templates },
    #[cfg(feature = "smtp")]
    Known { name: "smtp", read: smtp::read, templates: smtp::templates },
    #[cfg(feature = "postmark")]
    Known { name: "postmark", read: postmark::read, templates: postmark::templates },
];

/// The one that MAILROOM_TRANSPORT names; `None`: there is none, and `reader` keeps why.
pub fn chosen(reader: &mut Reader<'_>) -> Option<&'static Known> {
    const NAME: &str = "MAILROOM_TRANSPORT";
    let words = ["ses", "smtp", "postmark"].map(|name| (name, name));
    let name = reader.value(NAME, choice(&words));
    let found = PROVIDERS.iter().find(|one| one.name == name);
    if found.is_none() {
        let why = "this mailroom was built without the cargo feature";
        reader.problem(NAME, format_args!("{why} `{name}`"));
    }
    found.filter(|_| !reader.is_wrong(NAME))
}

/// Builds what sends, or prints in its place, and says so.
///
/// # Errors
/// What a person must change.
pub fn transport(
    provider: &dyn Provider,
    config: &Config,
    stop: &Stop,
) -> Result<Box<dyn Transport>, Error> {
    let (path, debug) = (config.output.display(), config.debug);
    let (unit, what, source) = (provider.unit(), provider.describe(), &config.source);
    let line = format_args!("configured; debug={debug} {what} source={source} output_path={path}");
    log::info(unit, line);
    undelivered::make_dir(&config.output).map_err(|error| {
        Error::config(format!("MAILROOM_SES_OUTPUT_PATH: cannot write to {path}: {error}"))
    })?;
    if !debug {
        return provider.transport(config, stop);
    }
    log::warn(unit, "MAILROOM_DEBUG is set: requests are printed, not sent, and count as sent");
    let out = stream(std::io::stdout().as_fd())?;
    Ok(Box::new(Dry::new(provider.dry(config)?, system_clock().now, out)))
}
