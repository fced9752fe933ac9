//! A provider's limit: so many mails in each second.

use std::time::Instant;

/// Counts what was let through by the seconds since its start.
pub struct Meter {
    most: usize,
    start: Instant,
    taken: Vec<usize>,
}

impl Meter {
    /// Lets so many through in each second.
    pub fn new(most: usize) -> Meter {
        Meter { most, start: Instant::now(), taken: Vec::new() }
    }

    /// Whether all of so many go through now; else none does.
    pub fn takes(&mut self, count: usize) -> bool {
        let second = self.start.elapsed().as_secs() as usize;
        self.taken.resize(self.taken.len().max(second + 1), 0);
        let fits = self.taken[second] + count <= self.most;
        self.taken[second] += if fits { count } else { 0 };
        fits
    }

    /// The first second, not before `from`, from which on in ten a row this part of what could go did
    /// go.
    pub fn used(&self, from: usize, part: f64) -> Option<usize> {
        let wanted = (self.most * 10) as f64 * part;
        // The last second may not be over.
        let whole = &self.taken[..self.taken.len().saturating_sub(1)];
        let mut windows = whole.windows(10).enumerate().skip(from);
        let full = |some: &[usize]| some.iter().sum::<usize>() as f64 >= wanted;
        windows.find(|(_, some)| full(some)).map(|(at, _)| at)
    }
}
