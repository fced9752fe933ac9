//! The numbers as DogStatsD reads them: counts since they were last sent, levels, durations.
//! <https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/>

use crate::edges::metrics::{Family, Numbers, Value};
use std::fmt::Write as _;
use std::time::Instant;

/// The longest value of a tag, in characters. <https://docs.datadoghq.com/getting_started/tagging/>
const TAG_LEN: usize = 200;

/// Turns numbers into datagrams; remembers the counts that it has told.
pub struct Encoder {
    /// `env:prod,service:mailroom`: what every line carries.
    tags: String,
    /// The most bytes in one datagram.
    limit: usize,
    told: Vec<(&'static str, String, u64)>,
}

impl Encoder {
    /// Lines with these tags, as many in a datagram as fit into `limit` bytes.
    pub fn new(tags: &[(&str, &str)], limit: usize) -> Encoder {
        let mut all = String::new();
        for (name, value) in tags {
            push_tag(&mut all, name, value);
        }
        Encoder { tags: all, limit, told: Vec::new() }
    }

    /// Gives each datagram to `send`. What it does not get through is not told again.
    pub fn encode(&mut self, numbers: &Numbers, now: Instant, send: &mut dyn FnMut(&[u8])) {
        let mut packet =
            Packet { text: String::with_capacity(self.limit), limit: self.limit, send };
        numbers.each(now, &mut |family, label, value| {
            if family.statsd.is_empty() {
                return;
            }
            let mut tags = self.tags.clone();
            if !family.label.is_empty() {
                push_tag(&mut tags, family.label, label);
            }
            let name = family.statsd;
            match value {
                Value::Count(count) => match self.grown(family, label, count) {
                    0 => {}
                    grown => packet.push(&format!("{name}:{grown}|c|#{tags}")),
                },
                Value::Level(level) => packet.push(&format!("{name}:{level}|g|#{tags}")),
                Value::Moment(_, ago) => packet.push(&format!("{name}:{ago:.1}|g|#{tags}")),
                Value::Spread(spread) => packet.push_all(name, spread.recent(), &tags),
                Value::Info => {}
            }
        });
        packet.flush();
    }

    /// By how much a count has grown since it was last told.
    fn grown(&mut self, family: &Family, label: &str, count: u64) -> u64 {
        let known = |(name, of, _): &&mut (&str, String, u64)| *name == family.name && of == label;
        match self.told.iter_mut().find(known) {
            Some((_, _, told)) => count - std::mem::replace(told, count),
            None => {
                self.told.push((family.name, label.to_owned(), count));
                count
            }
        }
    }
}

/// A datagram that is being filled.
struct Packet<'a> {
    text: String,
    limit: usize,
    send: &'a mut dyn FnMut(&[u8]),
}

impl Packet<'_> {
    fn push(&mut self, line: &str) {
        if line.len() > self.limit {
            return;
        }
        if self.text.len() + 1 + line.len() > self.limit {
            self.flush();
        }
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    /// Several values of one name stand in one line, as long as it fits (protocol 1.1).
    fn push_all(&mut self, name: &str, values: &[f32], tags: &str) {
        let mut line = name.to_owned();
        let rest = "|d|#".len() + tags.len();
        for value in values {
            let value = format!(":{value:.4}");
            if line.len() + value.len() + rest > self.limit {
                self.push(&format!("{line}|d|#{tags}"));
                line.truncate(name.len());
            }
            line.push_str(&value);
        }
        if line.len() > name.len() {
            self.push(&format!("{line}|d|#{tags}"));
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            (self.send)(self.text.as_bytes());
            self.text.clear();
        }
    }
}

/// Letters, digits and `_-:./` may stand in a tag; what else there is becomes `_`.
fn push_tag(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    let _ = write!(out, "{name}:");
    let fits = |c: char| c.is_alphanumeric() || "_-:./".contains(c);
    out.extend(value.chars().take(TAG_LEN).map(|c| if fits(c) { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::metrics::Metrics;
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    /// The datagrams of each write.
    fn written(limit: usize, work: impl FnOnce(&Metrics)) -> Vec<Vec<String>> {
        let all = Rc::new(RefCell::new(Vec::new()));
        let shared = Rc::clone(&all);
        let mut encoder = Encoder::new(&[("env", "a|b,c\n#d"), ("service", "mailroom")], limit);
        let metrics = Metrics::new(vec![Box::new(move |numbers, now| {
            let mut datagrams = Vec::new();
            encoder.encode(numbers, now, &mut |bytes| {
                datagrams.push(String::from_utf8(bytes.to_vec()).unwrap());
            });
            shared.borrow_mut().push(datagrams);
        })]);
        work(&metrics);
        all.take()
    }

    #[test]
    fn counts_are_told_as_what_was_added() {
        let now = Instant::now();
        let writes = written(1432, |metrics| {
            metrics.failed("HTTP 503: x");
            metrics.flush(now);
            metrics.failed("HTTP 503: y");
            metrics.failed("Other: y");
            metrics.flush(now);
            metrics.flush(now);
        });
        let tags = "#env:a_b_c__d,service:mailroom";
        let has = |n: usize, line: &str| writes[n].join("\n").lines().any(|own| own == line);
        assert!(has(0, &format!("mailroom.failed:1|c|{tags}")), "{writes:?}");
        assert!(has(0, &format!("mailroom.failed_by_reason:1|c|{tags},reason:HTTP_503")));
        assert!(has(1, &format!("mailroom.failed:2|c|{tags}")), "{writes:?}");
        assert!(has(1, &format!("mailroom.failed_by_reason:1|c|{tags},reason:HTTP_503")));
        assert!(has(1, &format!("mailroom.failed_by_reason:1|c|{tags},reason:Other")));
        assert!(!writes[2].concat().contains("failed"), "{writes:?}");
    }

    #[test]
    fn no_datagram_is_too_long_and_no_duration_is_left_out() {
        let now = Instant::now();
        for limit in [200, 1432, 8192] {
            let writes = written(limit, |metrics| {
                for _ in 0..1000 {
                    metrics.attempted(&[], &[], Duration::from_millis(1500));
                }
                metrics.flush(now);
            });
            let datagrams = &writes[0];
            assert!(datagrams.iter().all(|one| one.len() <= limit && !one.ends_with('\n')));
            assert_eq!(datagrams.concat().matches(":1.5000").count(), 1000, "{limit}");
            assert!(datagrams.len() <= 7200 / (limit / 2), "{limit}: {}", datagrams.len());
        }
    }
}
