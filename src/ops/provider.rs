//! Who sends: the list of providers, and what the commands ask of each.
//!
//! A new provider is a transport in `send/`, a file in this folder that reads its settings, builds
//! the transport and checks what it needs, a line in [`PROVIDERS`], and its settings in the table of
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
use crate::ops::provider::duties::Provider;
use crate::ops::provider::templates::Open;
use crate::ops::streams::stream;
use crate::pipe::undelivered;
use crate::pump::system_clock;
use crate::send::dry::Dry;
use std::os::fd::AsFd as _;

/// Reads the settings that one provider alone has. `None`: one is wrong, without which nothing can
/// be said of the provider; the reader keeps what.
type Read = fn(&mut Reader<'_>) -> Option<Box<dyn Provider>>;

/// A provider that can be chosen.
pub struct Known {
    /// The word for it in MAILROOM_TRANSPORT.
    pub name: &'static str,
    /// `None`: this mailroom was built without it.
    read: Option<Read>,
    /// Reads the settings that its templates need.
    templates: Option<fn(&mut Reader<'_>) -> Option<Open>>,
}

/// All providers; the first is the default.
pub const PROVIDERS: &[Known] = &[
    Known { name: "ses", read: Some(ses::read), templates: Some(ses::templates) },
    Known {
        name: "smtp",
        #[cfg(feature = "smtp")]
        read: Some(smtp::read),
        #[cfg(not(feature = "smtp"))]
        read: None,
        #[cfg(feature = "smtp")]
        templates: Some(smtp::templates),
        #[cfg(not(feature = "smtp"))]
        templates: None,
    },
    Known {
        name: "postmark",
        #[cfg(feature = "postmark")]
        read: Some(postmark::read),
        #[cfg(not(feature = "postmark"))]
        read: None,
        #[cfg(feature = "postmark")]
        templates: Some(postmark::templates),
        #[cfg(not(feature = "postmark"))]
        templates: None,
    },
];

impl Known {
    /// The one that MAILROOM_TRANSPORT names.
    pub fn chosen(reader: &mut Reader<'_>) -> &'static Known {
        let parse = |text: &str| {
            let words: Vec<String> =
                PROVIDERS.iter().map(|one| format!("`{}`", one.name)).collect();
            let found = PROVIDERS.iter().find(|one| one.name == text);
            found.map(Some).ok_or_else(|| format!("must be {}", words.join(" or ")))
        };
        reader.value("MAILROOM_TRANSPORT", parse).unwrap_or(&PROVIDERS[0])
    }

    /// The provider with its settings. Those of the others are not looked at: a half-configured
    /// spare is no reason not to start. `None`: what is wrong stands in `reader`.
    pub fn read(&self, reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
        self.built(self.read, reader).and_then(|read| read(reader))
    }

    /// Where the provider's templates are, as [`Known::read`].
    pub fn templates(&self, reader: &mut Reader<'_>) -> Option<Open> {
        self.built(self.templates, reader).and_then(|read| read(reader))
    }

    fn built<T>(&self, part: Option<T>, reader: &mut Reader<'_>) -> Option<T> {
        if part.is_none() {
            let why =
                format_args!("this mailroom was built without the cargo feature `{}`", self.name);
            reader.also("MAILROOM_TRANSPORT", why);
        }
        part
    }
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
