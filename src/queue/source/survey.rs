//! When it is found out where deliveries begin, and what was found.
//!
//! Claims and looks begin there, and so miss what was written earlier than others that are gone
//! and committed later, or what has a priority that nothing had. So a survey follows soon on
//! whatever is done with an earlier one, and nothing is late by more than the time between two.

use crate::mail::error::Error;
use crate::queue::source::{QUIET, QueueSource};
use crate::queue::store::{Found, Levels};
use std::time::{Duration, Instant};

/// The time between two surveys.
const EVERY: Duration = Duration::from_secs(1);
/// They take no more than this part of the time.
const SHARE: u32 = 10;

/// What is known of where deliveries begin.
pub(crate) struct Survey {
    /// Where claims and looks begin.
    pub(crate) levels: Levels,
    /// When the first lease runs out.
    pub(crate) lapse: Option<Instant>,
    /// When the next survey is. None is needed if nothing was done since the last.
    pub(crate) at: Option<Instant>,
    /// It is not before this moment.
    after: Instant,
    /// How long the last one took.
    took: Duration,
    /// The look to come is part of the last survey.
    fresh: bool,
    /// The last survey saw what is due, or soon will be.
    due: bool,
}

impl Survey {
    /// Nothing is known.
    pub(crate) fn new(now: Instant) -> Survey {
        Survey {
            levels: Levels::default(),
            lapse: None,
            at: None,
            after: now,
            took: Duration::ZERO,
            fresh: false,
            due: false,
        }
    }

    /// Something is done with what is known.
    pub(crate) fn used(&mut self) {
        self.at.get_or_insert(self.after);
    }

    /// A look was made that found `none` due, though the queue is not paused. Then what the survey
    /// just saw may be leased by somebody else since, until nobody knows when.
    pub(crate) fn looked(&mut self, none: bool) {
        if !std::mem::take(&mut self.fresh) || self.due && none {
            self.used();
        }
    }
}

impl QueueSource {
    /// Finds out where deliveries begin; the look that follows sees what lay before.
    pub(crate) fn survey(&mut self) -> Result<(), Error> {
        let begun = self.now();
        let found =
            self.link.run("finding levels", |statements, client| statements.levels(client))?;
        let Some(Found { levels, due, lease }) = found else { return Ok(()) };
        let done = self.now();
        let took = done.saturating_duration_since(begun);
        // A single one may have waited for a lock.
        let usual = took.min(self.survey.took);
        self.survey = Survey {
            levels,
            // Not at once: a row whose lease ran out may be locked.
            lapse: lease.map(|wait| (begun + wait).max(done + QUIET)),
            at: None,
            after: done + EVERY.max(usual * SHARE),
            took,
            fresh: true,
            due,
        };
        self.look = true;
        Ok(())
    }
}
