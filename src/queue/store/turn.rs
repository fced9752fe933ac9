//! Settling and claiming in one statement, and the limit of the day.

use crate::mail::model::{Claim, Kind, List, Settlement, Ticket};
use crate::queue::store::values::{DATA, Turn, Want, count, seconds};
use crate::queue::store::{Statements, TURN};
use postgres::types::ToSql;
use postgres::{Client, Error, GenericClient};
use std::borrow::Cow;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who claims under a limit of the day does so alone: one row is locked, for which a role needs a
/// right; anybody may take an advisory lock, and keep it. (A process that freezes with the lock loses
/// it, see `SETTINGS`.)
const ALONE: &str = "SELECT FROM jobs ORDER BY job_type LIMIT 1 FOR UPDATE";

/// Characters of a provider's id or of a reason that are kept.
const TEXT: usize = 1000;

impl Statements {
    /// Settles deliveries, all whose lease still stands, and claims the next ones.
    /// `again`: the settlements were tried before without an answer; what was written then counts too.
    /// `pass_over`: rows of theirs that others have locked are not waited for.
    ///
    /// # Errors
    /// As the statement.
    pub fn turn(
        &mut self,
        client: &mut Client,
        settled: &[(Ticket, Settlement)],
        (again, pass_over): (bool, bool),
        want: Want<'_>,
    ) -> Result<Turn, Error> {
        let Some(daily) = want.daily else {
            return self.exchange(client, settled, (again, pass_over), want);
        };
        let mut alone = client.transaction()?;
        // A statement of its own: what the others did before must be visible to the next one.
        alone.batch_execute(ALONE)?;
        let (room, _) = self.room(&mut alone, daily)?;
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let (limit, least) = (want.limit.min(room), want.least.min(room));
        let want = if room > 0 { Want { limit, least, ..want } } else { Want::default() };
        let mut done = self.exchange(&mut alone, settled, (again, pass_over), want)?;
        alone.commit()?;
        done.full = room == 0;
        Ok(done)
    }

    fn exchange(
        &mut self,
        client: &mut impl GenericClient,
        settled: &[(Ticket, Settlement)],
        (again, pass_over): (bool, bool),
        want: Want<'_>,
    ) -> Result<Turn, Error> {
        let columns = settled.iter().map(|(ticket, settlement)| {
            let (state, cause, text, delay, counts) = match settlement {
                Settlement::Sent { provider_id } => ("sent", "", provider_id, 0.0, true),
                Settlement::Failed { cause, why } => ("failed", cause.name(), why, 0.0, true),
                Settlement::Again { delay, cause, why, counts } => {
                    ("pending", cause.name(), why, delay.as_secs_f64(), *counts)
                }
            };
            (ticket.delivery, ticket.lease.as_ref(), state, cause, storable(text), delay, counts)
        });
        let columns: (Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>, Vec<_>) = columns.collect();
        let (ids, leases, states, causes, texts, delays, counted) = columns;
        let held: Vec<&str> = want.held.iter().map(AsRef::as_ref).collect();
        let values: [&(dyn ToSql + Sync); 22] = [
            &self.queue,
            &count(want.limit),
            &count(want.least),
            &want.lease,
            &want.lease_for.as_secs_f64(),
            &held,
            &want.held_for.as_secs_f64(),
            &count(want.look),
            &want.priorities,
            &want.reached,
            &want.carries,
            &ids,
            &leases,
            &states,
            &causes,
            &texts,
            &delays,
            &counted,
            &again,
            &pass_over,
            &want.before,
            &count(DATA),
        ];
        let rows = self.prepared.query(client, TURN, &values)?;
        let (mut done, lease) = (Turn::default(), Arc::from(want.lease));
        // Columns by their place: a name is looked for among all names, for each row.
        for row in rows {
            let Some(delivery) = row.try_get::<_, Option<i64>>(5)? else {
                done.passed = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
                done.expired = usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
                (done.written, done.locked) = (row.try_get(2)?, row.try_get(3)?);
                done.reached = row.try_get(4)?;
                continue;
            };
            let name: &str = row.try_get(7)?;
            let last = done.claims.last().map(|claim| &claim.kind);
            let template: Option<&str> = row.try_get(9)?;
            let same =
                |kind: &&Arc<Kind>| *kind.name == *name && kind.template.as_deref() == template;
            let kind = match last.filter(same) {
                Some(kind) => Arc::clone(kind),
                // As the row of `kinds` beside it says.
                None => Arc::new(Kind {
                    name: name.into(),
                    number: row.try_get::<_, Option<i16>>(8)?.and_then(|n| u16::try_from(n).ok()),
                    template: template.map(str::to_owned),
                    path: row.try_get(10)?,
                    signs_code: row.try_get(11)?,
                    sender: row.try_get(12)?,
                }),
            };
            let list = row.try_get::<_, Option<String>>(20)?;
            done.claims.push(Claim {
                ticket: Ticket {
                    delivery,
                    lease: Arc::clone(&lease),
                    attempts: u32::try_from(row.try_get::<_, i32>(6)?).unwrap_or(0),
                    age: row.try_get::<_, Option<f64>>(22)?.map(seconds),
                },
                kind,
                reply_to: row.try_get(13)?,
                recipient: row.try_get(14)?,
                login: row.try_get::<_, Option<String>>(15)?.unwrap_or_default(),
                secret: Zeroizing::new(row.try_get::<_, Option<Vec<u8>>>(16)?.unwrap_or_default()),
                code: row.try_get(17)?,
                locale: row.try_get(18)?,
                data: row.try_get(19)?,
                list: list.zip(row.try_get(21)?).map(|(id, unsubscribe)| List { id, unsubscribe }),
            });
        }
        Ok(done)
    }
}

/// A text from outside as PostgreSQL can store it: without NUL, and no longer than a person reads.
/// <https://www.postgresql.org/docs/current/datatype-character.html>
fn storable(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT && !text.contains('\0') {
        return text.into();
    }
    text.chars().filter(|&c| c != '\0').take(TEXT).collect::<String>().into()
}
