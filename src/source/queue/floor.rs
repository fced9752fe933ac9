//! Where claims begin in the index while it is full of what was claimed before.
//!
//! As long as any transaction in the database is open that might still see them, entries of rows
//! that were claimed since it began cannot be removed, and each claim and each look would walk over
//! them all. So when one took long, the earliest due row is found once, and the next ones begin
//! there. A row that is committed late with an earlier moment is found when this is done anew, which
//! takes a fixed share of the time; otherwise the order is the same.
//! <https://www.postgresql.org/docs/current/routine-vacuuming.html>

use super::QueueSource;
use crate::error::Error;
use std::time::{Duration, Instant};

/// Walking from the very beginning is cheap enough up to here.
const SLOW: Duration = Duration::from_millis(10);
/// A walk is worth so many times the time that it took.
const WORTH: u32 = 20;

/// What is known of the earliest due row.
#[derive(Default)]
pub(super) struct Floor {
    /// As the server wrote it, and until when it is gone by.
    known: Option<(String, Instant)>,
}

impl QueueSource {
    /// Where to begin now; `None` is the very beginning.
    pub(super) fn floor(&mut self) -> Option<String> {
        let now = self.now();
        self.floor.known.take_if(|(_, until)| *until <= now);
        self.floor.known.as_ref().map(|(floor, _)| floor.clone())
    }

    /// Until when the beginning is left out, if it is.
    pub(super) fn floor_ends(&self) -> Option<Instant> {
        self.floor.known.as_ref().map(|(_, until)| *until)
    }

    /// Begins at the very beginning next time.
    pub(super) fn forget_floor(&mut self) {
        self.floor.known = None;
    }

    /// After a walk from the very beginning that started at `begun`: finds the earliest due row if it
    /// took long.
    pub(super) fn walked(&mut self, begun: Instant) -> Result<(), Error> {
        if self.now().saturating_duration_since(begun) < SLOW {
            return Ok(());
        }
        let found = self.link.run("looking", |statements, client| statements.floor(client))?;
        let now = self.now();
        let until = now + WORTH * now.saturating_duration_since(begun);
        self.floor.known = found.map(|floor| (floor, until));
        Ok(())
    }
}
