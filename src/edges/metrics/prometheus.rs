//! The numbers as Prometheus reads them, version 0.0.4 of its text format.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use crate::edges::metrics::{Family, Kind, Numbers, Value};
use std::fmt::Write as _;
use std::time::Instant;

/// Writes the numbers; `labels` stand on each of them.
pub fn text(numbers: &Numbers, labels: &[(&str, &str)], now: Instant) -> String {
    let mut common = String::new();
    for (name, value) in labels {
        push_label(&mut common, name, value);
    }
    let mut out = String::with_capacity(8 * 1024);
    let mut last = "";
    numbers.each(now, &mut |family, label, value| {
        if std::mem::replace(&mut last, family.name) != family.name {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let (name, help) = (family.name, family.help);
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
        push(&mut out, family, &common, label, value);
    });
    out
}

fn push(out: &mut String, family: &Family, common: &str, label: &str, value: Value<'_>) {
    let mut labels = common.to_owned();
    if !family.label.is_empty() {
        push_label(&mut labels, family.label, label);
    }
    let name = family.name;
    let _ = match value {
        Value::Count(count) => writeln!(out, "{name}{{{labels}}} {count}"),
        Value::Level(level) => writeln!(out, "{name}{{{labels}}} {level}"),
        Value::Moment(unix, _) => writeln!(out, "{name}{{{labels}}} {unix:.3}"),
        Value::Info => writeln!(out, "{name}{{{labels}}} 1"),
        Value::Spread(spread) => {
            for (bound, count) in spread.buckets() {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
            }
            let (count, sum) = spread.total();
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
            writeln!(out, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}")
        }
    };
}

fn push_label(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    let _ = write!(out, "{name}=\"");
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}
