//! Where the numbers of a daemon go: to DogStatsD, into a file, or nowhere.

use crate::edges::log;
use crate::edges::metrics::{Metrics, Sink, prometheus, statsd};
use crate::edges::statsd::{Place, Sender};
use crate::edges::textfile::Textfile;
use crate::ops::cmd::env;
use crate::ops::config::Config;
use std::path::Path;

/// Numbers that go where the settings say. Nothing is opened yet.
pub(crate) fn metrics(config: &Config, command: &'static str) -> Metrics {
    let mut sinks: Vec<Sink> = Vec::new();
    if let Some(place) = &config.statsd {
        sinks.push(datagrams(place, &config.queue, command));
    }
    if let Some(path) = &config.metrics_file {
        sinks.push(file(path, config.queue.clone(), command));
    }
    Metrics::new(sinks)
}

/// Says that something does not work, once until it works again.
struct Trouble(Option<String>);

impl Trouble {
    fn heed(&mut self, what: &str, done: Result<(), String>) {
        match done {
            Ok(()) if self.0.take().is_some() => {
                log::info("METRICS", format_args!("{what}: works again"));
            }
            Err(why) if self.0.is_none() => {
                log::warn("METRICS", format_args!("{what}: {why}; mail goes on without"));
                self.0 = Some(why);
            }
            _ => {}
        }
    }
}

/// <https://docs.datadoghq.com/getting_started/tagging/unified_service_tagging/>
fn datagrams(place: &Place, queue: &str, command: &str) -> Sink {
    let given = |name: &str| env(name).filter(|value| !value.is_empty());
    let service = given("DD_SERVICE").unwrap_or_else(|| "mailroom".to_owned());
    let version = given("DD_VERSION").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let (env, entity) = (given("DD_ENV"), given("DD_ENTITY_ID"));
    let mut tags = vec![("service", service.as_str()), ("version", &version)];
    tags.extend(env.as_deref().map(|env| ("env", env)));
    // Names the pod to an agent that is reached over UDP.
    tags.extend(entity.as_deref().map(|entity| ("dd.internal.entity_id", entity)));
    tags.extend([("queue", queue), ("command", command)]);
    let mut encoder = statsd::Encoder::new(&tags, place.limit());
    let what = format!("sending to DogStatsD at {place}");
    let mut sender = Sender::new(place.clone());
    let mut trouble = Trouble(None);
    Box::new(move |numbers, now| {
        let mut done = Ok(());
        encoder.encode(numbers, now, &mut |datagram| {
            if let Err(error) = sender.send(datagram, now) {
                done = Err(error.to_string());
            }
        });
        trouble.heed(&what, done);
    })
}

fn file(path: &Path, queue: String, command: &'static str) -> Sink {
    let what = format!("writing {}", path.display());
    let textfile = Textfile::new(path);
    let mut trouble = Trouble(None);
    Box::new(move |numbers, now| {
        let labels = [("command", command), ("queue", queue.as_str())];
        let text = prometheus::text(numbers, &labels, now);
        trouble.heed(&what, textfile.write(&text).map_err(|error| error.to_string()));
    })
}
