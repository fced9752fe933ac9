//! The kinds of numbers: durations by buckets, counts by reason, what waits.

use std::time::Duration;

/// Upper bounds of the buckets of [`Histogram::sends`], seconds.
const SENDS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of the buckets of [`Histogram::latencies`], seconds: up to a day.
const LATENCIES: &[f64] =
    &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0];

/// The most reasons that are told apart.
const REASONS: usize = 32;
/// The longest reason that is a code and not a story, in bytes.
const REASON_LEN: usize = 80;
/// A word of this many letters and digits may be a secret.
const WORD_LEN: usize = 40;
/// What reasons beyond these limits are called.
const OTHER: &str = "other";

/// One number, as an encoder is given it.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Only grows.
    Count(u64),
    /// Goes up and down.
    Level(f64),
    /// A moment: seconds since 1970, and how many seconds ago it was.
    Moment(f64, f64),
    /// Durations.
    Spread(&'a Histogram),
    /// Always one; the label says it.
    Info,
}

/// How many deliveries are in which state of waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Depth {
    /// Pending and due.
    pub due: u64,
    /// Pending, for later.
    pub later: u64,
    /// Leased.
    pub leased: u64,
    /// How long the oldest of those that are due has been; zero if there are none.
    pub oldest: Duration,
}

/// Durations, counted by buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    count: u64,
    sum: f64,
    recent: Vec<f32>,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        Histogram { bounds, counts: vec![0; bounds.len()], ..Histogram::default() }
    }

    pub(crate) fn sends() -> Histogram {
        Histogram::new(SENDS)
    }

    pub(crate) fn latencies() -> Histogram {
        Histogram::new(LATENCIES)
    }

    pub(crate) fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(place) = self.bounds.iter().position(|bound| seconds <= *bound) {
            self.counts[place] += 1;
        }
        self.count += 1;
        self.sum += seconds;
        self.recent.push(time.as_secs_f32());
    }

    /// Those since the numbers were last written, in seconds.
    pub fn recent(&self) -> &[f32] {
        &self.recent
    }

    pub(crate) fn forget(&mut self) {
        self.recent.clear();
    }

    /// The upper bounds of the buckets, and how many durations were not above them.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        self.bounds.iter().zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((*bound, *below))
        })
    }

    /// How many there were, and their sum in seconds.
    pub fn total(&self) -> (u64, f64) {
        (self.count, self.sum)
    }
}

/// Counts by reason: not many, and without what names a person or could be a secret.
#[derive(Clone, Debug, Default)]
pub struct Reasons(Vec<(String, u64)>);

impl Reasons {
    pub(crate) fn add(&mut self, why: &str) {
        let mut code = code(why);
        if self.0.len() >= REASONS && !self.0.iter().any(|(known, _)| known == code) {
            code = OTHER;
        }
        match self.0.iter_mut().find(|(known, _)| known == code) {
            Some((_, count)) => *count += 1,
            None => self.0.push((code.to_owned(), 1)),
        }
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (reason.as_str(), *count))
    }
}

/// The part of a reason that is the same for all of its kind: what stands before the first `:`.
fn code(why: &str) -> &str {
    let code = why.split(": ").next().unwrap_or_default();
    let code = code.split(" (attempt ").next().unwrap_or_default().trim();
    let plain = |word: &str| {
        let own = word.bytes().filter(|byte| byte.is_ascii_alphanumeric()).count();
        own < WORD_LEN && (word == "@" || !word.contains('@'))
    };
    let fits = (1..=REASON_LEN).contains(&code.len())
        && code.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && code.split(' ').all(plain);
    if fits { code } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_by_its_code_and_names_nobody() {
        for (why, wanted) in [
            ("MESSAGE_REJECTED: Address j***@example.com is bad", "MESSAGE_REJECTED"),
            ("HTTP 503", "HTTP 503"),
            ("HTTP 503 (attempt 5, the last)", "HTTP 503"),
            ("InternalFailure: no luck (attempt 2, the last)", "InternalFailure"),
            ("550 at recipient: <x> unknown", "550 at recipient"),
            ("the address has no @", "the address has no @"),
            ("john@example.com is unknown", "other"),
            ("two\nlines", "other"),
            ("", "other"),
            ("é", "other"),
        ] {
            assert_eq!(code(why), wanted, "{why:?}");
        }
        assert_eq!(code(&"a".repeat(43)), "other");
        assert_eq!(code(&"a ".repeat(43)), "other");
    }

    #[test]
    fn reasons_are_few_however_many_a_provider_invents() {
        let mut reasons = Reasons::default();
        for n in 0..1000 {
            reasons.add(&format!("Code{n}: x"));
        }
        reasons.add("Code3");
        assert_eq!(reasons.iter().count(), REASONS + 1);
        assert_eq!(reasons.iter().map(|(_, count)| count).sum::<u64>(), 1001);
        assert_eq!(reasons.iter().find(|(code, _)| *code == "Code3"), Some(("Code3", 2)));
        assert_eq!(reasons.iter().last(), Some(("other", 968)));
    }

    #[test]
    fn buckets_hold_all_that_is_not_above_their_bound() {
        let mut sends = Histogram::sends();
        for millis in [10, 11, 500, 40_000] {
            sends.add(Duration::from_millis(millis));
        }
        let of = |bound: f64| sends.buckets().find(|(own, _)| *own == bound).unwrap().1;
        assert_eq!([of(0.01), of(0.05), of(0.25), of(0.5), of(30.0)], [1, 2, 2, 3, 3]);
        assert_eq!(sends.total(), (4, 40.521));
        assert_eq!(sends.recent().len(), 4);
    }
}
