//! One claim: what is asked for, and what is done with what cannot be sent.
//!
//! Out of scope: when to claim, and the statement (`db/queue/claim.rs`).

use crate::mail::ends::{Ask, Next};
use crate::mail::error::Error;
use crate::queue::lease::new_lease;
use crate::queue::source::QueueSource;
use crate::queue::store::{Claimed, Want};
use std::time::Duration;

/// Rows to look at once ineligible ones were met, to get past them quickly.
const WIDE_LOOK: usize = 1000;

impl QueueSource {
    /// Claims up to `limit` deliveries if at least `least` can be had, and signs them.
    ///
    /// Gives [`Next::Idle`] if there are none; asks again as long as only ineligible rows are met.
    pub(crate) fn claim(&mut self, ask: &Ask, least: usize) -> Result<Next, Error> {
        let lease = new_lease(self.settings.holder);
        let held_for = ask.until.map_or(Duration::from_secs(30), |until| {
            until.saturating_duration_since(self.now()).max(Duration::from_secs(1))
        });
        self.survey.used();
        loop {
            let reach = self.reach.max(ask.limit);
            let want = Want {
                limit: ask.limit,
                least,
                look: reach,
                lease: &lease,
                lease_for: self.settings.lease,
                held: &ask.held,
                held_for,
                daily: self.settings.daily_limit,
                levels: &self.survey.levels,
            };
            let Some(Claimed { claims, passed, expired, full }) =
                self.link.run("claiming", |statements, client| statements.claim(client, want))?
            else {
                return Ok(Next::Idle);
            };
            self.answered();
            if full {
                // A lease that ran out counts as sent as long as it is not put back.
                self.rescue(false)?;
                return Ok(Next::Full);
            }
            if expired > 0 {
                self.report_expired(expired);
                self.prune_at_once();
            }
            self.reach = if passed > 0 { WIDE_LOOK.max(ask.limit) } else { ask.limit };
            if !claims.is_empty() {
                let batch = self.sign(claims)?;
                return Ok(if batch.messages.is_empty() { Next::Idle } else { Next::Batch(batch) });
            }
            if passed == 0 || self.stop.requested() {
                return Ok(Next::Idle);
            }
        }
    }
}
