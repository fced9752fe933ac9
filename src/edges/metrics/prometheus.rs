//! Numbers as Prometheus reads them, version 0.0.4 of its text format.
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write as _};

/// A text that grows number by number. Those of one family must come together.
pub struct Text {
    out: String,
    /// The labels that stand on each number.
    common: String,
    /// The family that was begun last.
    family: String,
}

impl Text {
    /// Nothing yet; `labels` stand on each number.
    pub fn new(labels: &[(&str, &str)]) -> Text {
        let mut common = String::new();
        for (name, value) in labels {
            push_label(&mut common, name, value);
        }
        Text { out: String::with_capacity(8 * 1024), common, family: String::new() }
    }

    /// What follows is of this family; `kind` is `counter`, `gauge` or `histogram`. The same one
    /// again is not begun again.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        if self.family != name {
            name.clone_into(&mut self.family);
            let _ = write!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        }
    }

    /// A counter or a gauge. A label without a name is none.
    pub fn number(&mut self, label: (&str, &str), value: impl Display) {
        self.line("", label, value);
    }

    /// A histogram: its buckets, each with its upper bound and how many were not above it, how many
    /// there were at all, and their sum.
    pub fn histogram(&mut self, buckets: impl Iterator<Item = (f64, u64)>, count: u64, sum: f64) {
        for (bound, below) in buckets {
            self.line("_bucket", ("le", &bound.to_string()), below);
        }
        self.line("_bucket", ("le", "+Inf"), count);
        self.line("_sum", ("", ""), sum);
        self.line("_count", ("", ""), count);
    }

    fn line(&mut self, part: &str, label: (&str, &str), value: impl Display) {
        let mut labels = self.common.clone();
        if !label.0.is_empty() {
            push_label(&mut labels, label.0, label.1);
        }
        let _ = writeln!(self.out, "{}{part}{{{labels}}} {value}", self.family);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.out
    }
}

fn push_label(out: &mut String, name: &str, value: &str) {
    let comma = if out.is_empty() { "" } else { "," };
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let _ = write!(out, "{comma}{name}=\"{value}\"");
}
