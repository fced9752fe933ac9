//! Amazon SES.

pub mod calls;
mod check;
mod mime;
mod templates;

use crate::edges::aws::credentials::source::Failure;
use crate::edges::aws::endpoint::Endpoint;
use crate::edges::log;
use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::mail::recipient;
use crate::ops::check::Round;
use crate::ops::config::Config;
use crate::ops::config::reader::Reader;
use crate::ops::environment::env;
use crate::ops::provider::duties::Provider;
use crate::ops::provider::ses::calls::{Calls, client, place};
use crate::ops::provider::templates::Open;
use crate::pump::system_clock;
use crate::send::dry;
use crate::send::ses;
use crate::send::ses::bulk::Through;

/// SES with the settings that it alone has; where it is and who asks is read as botocore does.
struct Ses {
    through: Through,
}

/// Reads them.
pub fn read(reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
    let config_set = reader.value("MAILROOM_SES_CONFIG_SET", name);
    let tenant = reader.value("MAILROOM_SES_TENANT", name);
    Some(Box::new(Ses { through: Through { config_set, tenant } }))
}

/// Its templates.
pub fn templates(_: &mut Reader<'_>) -> Option<Open> {
    Some(Box::new(|_, stop| Ok(Box::new(Calls { client: client(stop)?, stop: stop.clone() }))))
}

impl Provider for Ses {
    fn unit(&self) -> &'static str {
        "SES"
    }

    fn describe(&self) -> String {
        // What is wrong with it is reported when the transport is built.
        let url = Endpoint::read(&env).map(|endpoint| endpoint.url).unwrap_or_default();
        let Through { config_set, tenant } = &self.through;
        format!("endpoint={url} config_set={config_set} tenant={tenant}")
    }

    fn transport(&self, config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
        let (endpoint, http, mut keeper) = place(stop)?;
        match keeper.get() {
            Ok(_) => {}
            Err(Failure::Unset(why) | Failure::Setup(why)) => return Err(Error::config(why)),
            Err(Failure::Passing(why)) => {
                let what = "no credentials yet; mail is held until there are";
                log::warn("AWS", format_args!("{what}: {why}"));
            }
        }
        let settings = ses::Settings {
            endpoint,
            templates: config.templates.clone(),
            source: config.source.clone(),
            through: self.through.clone(),
            output: config.output.clone(),
            clock: system_clock(),
        };
        Ok(Box::new(ses::Ses::new(settings, http, keeper)))
    }

    fn fault(&self, _: &Config, stop: &Stop) -> Option<Error> {
        place(stop).err()
    }

    fn dry(&self, config: &Config) -> Result<dry::Settings, Error> {
        let url = Endpoint::read(&env).map_err(Error::config)?.url;
        Ok(dry::Settings {
            to: format!("POST {url}/v2/email/outbound-bulk-emails"),
            templates: config.templates.clone(),
            source: recipient::from(&config.source, true),
            config_set: self.through.config_set.clone(),
        })
    }

    fn check(&self, round: &mut Round<'_>) {
        check::check(round, &self.through.config_set);
    }
}

/// The name of a configuration set or a tenant.
/// <https://docs.aws.amazon.com/ses/latest/APIReference/API_ConfigurationSet.html>,
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_CreateTenant.html>
fn name(name: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || (1..=64).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(name.to_owned());
    }
    let fit = "must be 1 to 64 of the letters A to Z and a to z, digits, hyphens and underscores";
    Err(fit.to_owned())
}
