//! Numbers for Prometheus and DogStatsD: right, readable by others, and never in the way of mail.

mod documents;
mod exporter;
mod idle;
mod statsd;
mod textfile;

use crate::support::python::python;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a text in Prometheus' format says: `name{label="value",…}` and the number, as a parser that
/// is not ours reads it. The labels that all have are checked and left out.
#[derive(Debug)]
struct Numbers {
    values: BTreeMap<String, f64>,
    families: BTreeSet<String>,
}

impl Numbers {
    fn parse(text: &str, command: &str, queue: &str) -> Numbers {
        let mut numbers = Numbers { values: BTreeMap::new(), families: BTreeSet::new() };
        assert!(text.ends_with('\n'), "{text}");
        for family in families(text) {
            let kind = family["type"].as_str().unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{family}");
            assert!(!family["help"].as_str().unwrap().is_empty(), "{family}");
            let mut name = family["name"].as_str().unwrap().to_owned();
            // The library takes it away.
            name.push_str(if kind == "counter" { "_total" } else { "" });
            assert!(numbers.families.insert(name), "twice: {family}");
            for sample in family["samples"].as_array().unwrap() {
                let mut labels: BTreeMap<String, String> =
                    serde_json::from_value(sample[1].clone()).unwrap();
                assert_eq!(labels.remove("command").as_deref(), Some(command), "{sample}");
                assert_eq!(labels.remove("queue").as_deref(), Some(queue), "{sample}");
                let labels: Vec<String> =
                    labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let name = sample[0].as_str().unwrap().trim_start_matches("mailroom_");
                let name = format!("{name} {}", labels.join(","));
                let value = sample[2].as_f64().unwrap();
                assert!(numbers.values.insert(name, value).is_none(), "twice: {sample}");
            }
        }
        numbers
    }

    fn read(path: &Path, command: &str) -> Numbers {
        Numbers::parse(&std::fs::read_to_string(path).unwrap(), command, "mailroom")
    }

    /// The number of `name label=value`, without the prefix.
    fn get(&self, name: &str) -> f64 {
        let name = if name.contains(' ') { name.to_owned() } else { format!("{name} ") };
        *self.values.get(&name).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    fn has(&self, wanted: &[(&str, f64)]) {
        for (name, value) in wanted {
            assert_eq!(self.get(name), *value, "{name} in {self:#?}");
        }
    }
}

/// The families of a text, as the Python client of Prometheus reads them.
fn families(text: &str) -> Vec<Value> {
    let mut child = Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metrics/parse.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "not the text format (or no scripts/setup):\n{text}\n{errors}");
    serde_json::from_slice(&done.stdout).unwrap()
}
