//! How far another clock is from ours.

use crate::ops::screen::page::span;
use std::time::{Duration, SystemTime};

/// Clocks that are further apart than this are worth a word.
pub const APART: Duration = Duration::from_secs(10);

/// By how much another clock is ahead of ours, in seconds; it was read between two looks at ours.
pub fn ahead(other: SystemTime, before: SystemTime, after: SystemTime) -> f64 {
    let seconds = |from: SystemTime, to: SystemTime| match to.duration_since(from) {
        Ok(later) => later.as_secs_f64(),
        Err(earlier) => -earlier.duration().as_secs_f64(),
    };
    f64::midpoint(seconds(before, other), seconds(after, other))
}

/// How far apart two clocks are, for people.
pub fn apart(whose: &str, seconds: f64) -> String {
    let way = if seconds < 0.0 { "behind" } else { "ahead of" };
    match seconds.abs() {
        little if little < 1.0 => format!("{whose} clock agrees with ours"),
        much => format!("{whose} clock is {} {way} ours", span(much)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_compared_at_the_middle_of_the_question() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (other, seconds, said) in [
            (105, 0.0, "x's clock agrees with ours"),
            (165, 60.0, "x's clock is 1 min 0 s ahead of ours"),
            (45, -60.0, "x's clock is 1 min 0 s behind ours"),
        ] {
            let found = ahead(at(other), at(100), at(110));
            assert_eq!((found, apart("x's", found).as_str()), (seconds, said));
        }
    }
}
