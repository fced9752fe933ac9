//! Where the numbers of a daemon go: to DogStatsD, into a file, or nowhere.

use crate::edges::log;
use crate::edges::metrics::prometheus::Text;
use crate::edges::metrics::statsd::{Encoder, Place, Sender};
use crate::edges::metrics::textfile;
use crate::mail::counts::{FAMILIES, Metrics, Numbers, Sink, Value};
use crate::ops::config::Config;
use crate::ops::environment::env;
use std::path::Path;
use std::time::Instant;

/// Numbers that go where the settings say. Nothing is opened yet.
pub fn metrics(config: &Config, command: &'static str) -> Metrics {
    let mut sinks: Vec<Sink> = Vec::new();
    if let Some(place) = &config.statsd {
        sinks.push(datagrams(place, &config.queue, command));
    }
    if let Some(path) = &config.metrics_file {
        sinks.push(file(path, config.queue.clone(), command));
    }
    Metrics::new(sinks)
}

/// Writes the numbers. That this does not work is said once until it works again.
fn sink(
    what: String,
    mut write: impl FnMut(&Numbers, Instant) -> Result<(), String> + 'static,
) -> Sink {
    let mut broken = false;
    Box::new(move |numbers, now| match write(numbers, now) {
        Ok(()) if std::mem::take(&mut broken) => {
            log::info("METRICS", format_args!("{what}: works again"));
        }
        Err(why) if !broken => {
            log::warn("METRICS", format_args!("{what}: {why}; mail goes on without"));
            broken = true;
        }
        _ => {}
    })
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
    let mut encoder = Encoder::new(&tags, place.limit());
    let what = format!("sending to DogStatsD at {place}");
    let mut sender = Sender::new(place.clone());
    sink(what, move |numbers, now| {
        encode(&mut encoder, numbers, now);
        let mut done = Ok(());
        for datagram in encoder.take() {
            if let Err(error) = sender.send(datagram.as_bytes(), now) {
                done = Err(error.to_string());
            }
        }
        done
    })
}

fn file(path: &Path, queue: String, command: &'static str) -> Sink {
    let path = path.to_owned();
    sink(format!("writing {}", path.display()), move |numbers, now| {
        let labels = [("command", command), ("queue", queue.as_str())];
        let text = text(numbers, &labels, now);
        textfile::write(&path, &text).map_err(|error| error.to_string())
    })
}

/// Adds the numbers that DogStatsD is sent.
fn encode(encoder: &mut Encoder, numbers: &Numbers, now: Instant) {
    for family in FAMILIES.iter().filter(|family| !family.statsd.is_empty()) {
        let name = family.statsd;
        (family.read)(numbers, now, &mut |label, value| {
            let label = (family.label, label);
            match value {
                Value::Count(count) => encoder.count(name, label, count),
                Value::Level(level) => encoder.level(name, label, level),
                Value::Moment(_, ago) => encoder.level(name, label, format_args!("{ago:.1}")),
                Value::Spread(spread) => encoder.durations(name, &spread.recent),
            }
        });
    }
}

/// The numbers as Prometheus reads them; `labels` stand on each of them.
fn text(numbers: &Numbers, labels: &[(&str, &str)], now: Instant) -> String {
    let mut text = Text::new(labels);
    for family in FAMILIES {
        (family.read)(numbers, now, &mut |label, value| {
            text.family(family.name, family.kind, family.help);
            let label = (family.label, label);
            match value {
                Value::Count(count) => text.number(label, count),
                Value::Level(level) => text.number(label, level),
                Value::Moment(unix, _) => text.number(label, format_args!("{unix:.3}")),
                Value::Spread(of) => text.histogram(of.buckets.iter().copied(), of.count, of.sum),
            }
        });
    }
    text.finish()
}
