//! Amazon SES.

pub mod calls;
mod check;
mod mime;
mod templates;

use crate::edges::aws::credentials::source::Failure;
use crate::edges::aws::endpoint::{Endpoint, Service};
use crate::edges::aws::shared::Shared;
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
use crate::send::ses::client::Client;

/// SES with the settings that it alone has; where it is and who asks is read as botocore does.
struct Ses {
    through: Through,
}

/// Reads them.
pub fn read(reader: &mut Reader<'_>) -> Option<Box<dyn Provider>> {
    let config_set = reader.value("MAILROOM_SES_CONFIG_SET", name);
    let tenant = reader.value("MAILROOM_SES_TENANT", name);
    let endpoint_id = reader.value("MAILROOM_SES_ENDPOINT_ID", labels);
    Some(Box::new(Ses { through: Through { config_set, tenant, endpoint_id } }))
}

/// Its templates.
pub fn templates(_: &mut Reader<'_>) -> Option<Open> {
    Some(Box::new(|_, stop| Ok(Box::new(Calls { client: client(stop)?, stop: stop.clone() }))))
}

impl Ses {
    /// Where mails go.
    fn endpoint(&self) -> Result<Endpoint, String> {
        let shared = Shared::read(&env)?;
        match self.through.endpoint_id.as_str() {
            "" => Endpoint::of(Service::Ses, &shared),
            id => Endpoint::of(Service::Global(id), &shared),
        }
    }
}

impl Provider for Ses {
    fn unit(&self) -> &'static str {
        "SES"
    }

    fn describe(&self) -> String {
        // What is wrong with it is reported when the transport is built.
        let url = self.endpoint().map(|endpoint| endpoint.url).unwrap_or_default();
        let Through { config_set, tenant, endpoint_id } = &self.through;
        format!("endpoint={url} config_set={config_set} tenant={tenant} endpoint_id={endpoint_id}")
    }

    fn transport(&self, config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error> {
        let (region, http, mut keeper) = place(stop)?;
        match keeper.get() {
            Ok(_) => {}
            Err(Failure::Unset(why) | Failure::Setup(why)) => return Err(Error::config(why)),
            Err(Failure::Passing(why)) => {
                let what = "no credentials yet; mail is held until there are";
                log::warn("AWS", format_args!("{what}: {why}"));
            }
        }
        let settings = ses::Settings {
            endpoint: self.endpoint().map_err(Error::config)?,
            templates: config.templates.clone(),
            source: config.source.clone(),
            through: self.through.clone(),
            output: config.output.clone(),
            clock: system_clock(),
        };
        let client = Client::new(region, http, keeper, system_clock().wall);
        Ok(Box::new(ses::Ses::new(settings, client)))
    }

    fn fault(&self, _: &Config, stop: &Stop) -> Option<Error> {
        place(stop).err().or_else(|| self.endpoint().err().map(Error::config))
    }

    fn dry(&self, config: &Config) -> Result<dry::Settings, Error> {
        let url = self.endpoint().map_err(Error::config)?.url;
        Ok(dry::Settings {
            to: format!("POST {url}/v2/email/outbound-bulk-emails"),
            templates: config.templates.clone(),
            source: recipient::from(&config.source, true),
            config_set: self.through.config_set.clone(),
        })
    }

    fn check(&self, round: &mut Round<'_>) {
        check::check(round, self.endpoint(), &self.through);
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

/// An endpoint's id: labels of a host's name, which it becomes a part of.
/// <https://smithy.io/2.0/additional-specs/rules-engine/standard-library.html#isvalidhostlabel-function>
fn labels(id: &str) -> Result<String, String> {
    let is_label = |label: &str| recipient::is_label(label) && !label.contains('_');
    if id.is_empty() || id.len() <= 200 && id.split('.').all(is_label) {
        return Ok(id.to_owned());
    }
    Err("must be as SES gave it, such as abc123.xyz: letters A to Z and a to z, digits, hyphens and \
         dots, as in the name of a host"
        .to_owned())
}
