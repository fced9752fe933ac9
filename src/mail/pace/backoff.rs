//! How long a message waits after a try that failed.

use std::time::Duration;

/// The longest wait between two tries.
pub const BACKOFF_CAP: Duration = Duration::from_secs(60);

/// The wait after try number `attempt` (from 1) failed: full jitter over
/// 1 s × 2^(attempt − 1), at most 60 s.
///
/// `chance` is a random number from 0 up to 1.
pub fn backoff(attempt: u32, chance: f64) -> Duration {
    let doubled = 1u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX);
    let ceiling = Duration::from_secs(doubled).min(BACKOFF_CAP);
    ceiling.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn backoff_doubles_from_one_second_to_sixty_with_full_jitter() {
        let ceilings: Vec<u64> = (1..=8).map(|n| backoff(n, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(200, 1.0), BACKOFF_CAP);
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
        assert_eq!(backoff(3, 0.5), 2 * SECOND);
    }
}
