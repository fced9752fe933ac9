//! The transport that the configuration asks for. Checks all it can before anything is taken.

use crate::edges::aws::credentials::Keeper;
use crate::edges::aws::credentials::source::Failure;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::http::Http;
use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::recipient as address;
use crate::ops::cmd::{account, env, stream};
use crate::ops::config::{Config, Provider};
use crate::pipe::undelivered;
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::dry::Dry;
#[cfg(feature = "postmark")]
use crate::send::postmark;
#[cfg(feature = "postmark")]
use crate::send::postmark::Postmark;
use crate::send::ses;
use crate::send::ses::Ses;
#[cfg(feature = "smtp")]
use crate::send::smtp;
#[cfg(feature = "smtp")]
use crate::send::smtp::Smtp;
use std::os::fd::AsFd as _;

/// Builds the transport and says so.
pub(crate) fn transport(config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
    log_configured(config);
    undelivered::make_dir(&config.output).map_err(|error| {
        let path = config.output.display();
        Error::config(format!("MAILROOM_SES_OUTPUT_PATH: cannot write to {path}: {error}"))
    })?;
    if config.debug {
        let told = "MAILROOM_DEBUG is set: requests are printed, not sent, and count as sent";
        log::warn(unit(config), told);
        return dry(config);
    }
    match &config.provider {
        Provider::Ses => ses(config, stop),
        #[cfg(feature = "smtp")]
        Provider::Smtp(server) => Ok(Box::new(smtp(config, server, stop).map_err(Error::config)?)),
        #[cfg(feature = "postmark")]
        Provider::Postmark(token) => {
            let settings = postmark::Settings {
                url: config.postmark_url.clone(),
                token: token.0.clone(),
                templates: config.templates.clone(),
                source: config.source.clone(),
                clock: system_clock(),
            };
            let http = Http::new(&env, stop.clone()).map_err(Error::config)?;
            Ok(Box::new(Postmark::new(settings, http)))
        }
    }
}

/// What is wrong with what a transport reads besides `config`.
pub(crate) fn problems(config: &Config, stop: &Stop) -> Vec<String> {
    match &config.provider {
        Provider::Ses => place(stop).err().unwrap_or_default(),
        #[cfg(feature = "smtp")]
        Provider::Smtp(server) => smtp(config, server, stop).err().into_iter().collect(),
        #[cfg(feature = "postmark")]
        Provider::Postmark(_) => Http::new(&env, stop.clone()).err().into_iter().collect(),
    }
}

/// The name of the provider in the log.
pub(crate) fn unit(config: &Config) -> &'static str {
    match config.provider {
        Provider::Ses => "SES",
        #[cfg(feature = "smtp")]
        Provider::Smtp(_) => "SMTP",
        #[cfg(feature = "postmark")]
        Provider::Postmark(_) => "POSTMARK",
    }
}

fn log_configured(config: &Config) {
    let what = match &config.provider {
        Provider::Ses => {
            // What is wrong with it is told elsewhere.
            let url = Endpoint::read(&env).map(|endpoint| endpoint.url).unwrap_or_default();
            format!("endpoint={url} config_set={}", config.config_set)
        }
        #[cfg(feature = "smtp")]
        Provider::Smtp(server) => {
            format!("{server} template_dir={}", config.template_dir.display())
        }
        #[cfg(feature = "postmark")]
        Provider::Postmark(_) => format!("url={}", config.postmark_url),
    };
    log::info(
        unit(config),
        format_args!(
            "configured; debug={} {what} source={} output_path={}",
            config.debug,
            config.source,
            config.output.display()
        ),
    );
}

/// Where SES is, how it is reached, and who asks; or all that is wrong with that.
fn place(stop: &Stop) -> Result<(Endpoint, Http, Keeper), Vec<String>> {
    match (Endpoint::read(&env), account(stop)) {
        (Ok(endpoint), Ok((http, keeper))) => Ok((endpoint, http, keeper)),
        (endpoint, account) => {
            let account = account.err().map(|error| error.message);
            let mut problems: Vec<_> = endpoint.err().into_iter().chain(account).collect();
            // Both read the files of AWS.
            problems.dedup();
            Err(problems)
        }
    }
}

fn ses(config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
    let (endpoint, http, mut keeper) =
        place(stop).map_err(|problems| Error::config(problems.join("\n")))?;
    match keeper.get() {
        Ok(_) => {}
        Err(Failure::Setup(why)) => return Err(Error::config(why)),
        Err(Failure::Passing(why)) => {
            let what = "no credentials yet; mail is held until there are";
            log::warn("AWS", format_args!("{what}: {why}"));
        }
    }
    let settings = ses::Settings {
        endpoint,
        templates: config.templates.clone(),
        source: config.source.clone(),
        config_set: config.config_set.clone(),
        output: config.output.clone(),
        clock: system_clock(),
    };
    Ok(Box::new(Ses::new(settings, http, keeper)))
}

#[cfg(feature = "smtp")]
fn smtp(config: &Config, server: &smtp::Server, stop: &Stop) -> Result<Smtp, String> {
    let settings = smtp::Settings {
        server: server.clone(),
        templates: config.templates.clone(),
        directory: config.template_dir.clone(),
        source: config.source.clone(),
        clock: system_clock(),
    };
    Smtp::new(settings, stop.clone())
}

/// What prints instead of sending.
fn dry(config: &Config) -> Result<Box<dyn Transport>, Error> {
    let (to, config_set) = match &config.provider {
        Provider::Ses => {
            let url = Endpoint::read(&env).map_err(Error::config)?.url;
            (format!("POST {url}/v2/email/outbound-bulk-emails"), config.config_set.clone())
        }
        #[cfg(feature = "smtp")]
        Provider::Smtp(server) => {
            // It prints no mail, but the templates are read as when it sends.
            for (_, name) in config.templates.iter() {
                smtp::load(&config.template_dir, name).map_err(Error::config)?;
            }
            (format!("SMTP {}:{}", server.host, server.port), String::new())
        }
        #[cfg(feature = "postmark")]
        Provider::Postmark(_) => {
            let url = &config.postmark_url;
            (format!("POST {url}/email/batchWithTemplates"), String::new())
        }
    };
    let settings = dry::Settings {
        to,
        templates: config.templates.clone(),
        source: address::from(&config.source, matches!(config.provider, Provider::Ses)),
        config_set,
    };
    let out = stream(std::io::stdout().as_fd())?;
    Ok(Box::new(Dry::new(settings, out)))
}
