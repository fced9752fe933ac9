//! Claiming: what is asked for, what was got, and the limit of the day.

use crate::mail::model::{Claim, Kind, List, Ticket};
use crate::queue::store::values::{Claimed, Want, count, seconds};
use crate::queue::store::{CLAIM, Statements};
use postgres::types::ToSql;
use postgres::{Client, Error, GenericClient, Row};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Who claims under a limit of the day does so alone: one row is locked, for which a role needs a
/// right; anybody may take an advisory lock, and keep it. (A process that freezes with the lock loses
/// it, see `SETTINGS`.)
const ALONE: &str = "SELECT FROM jobs ORDER BY job_type LIMIT 1 FOR UPDATE";

impl Statements {
    /// Claims due deliveries.
    ///
    /// # Errors
    /// As the statement.
    pub fn claim(&mut self, client: &mut Client, want: Want<'_>) -> Result<Claimed, Error> {
        let Some(daily) = want.daily else { return self.take(client, want) };
        let mut alone = client.transaction()?;
        // A statement of its own: what the others did before must be visible to the next one.
        alone.execute(ALONE, &[])?;
        let daily = i64::try_from(daily).unwrap_or(i64::MAX);
        let room = self.prepared.on(&mut alone, include_str!("../sql/room.sql"))?;
        let room: i64 = alone.query_one(&room, &[&daily])?.try_get("room")?;
        let room = usize::try_from(room).unwrap_or(0);
        if room == 0 {
            return Ok(Claimed { full: true, ..Claimed::default() });
        }
        let (limit, least) = (want.limit.min(room), want.least.min(room));
        let claimed = self.take(&mut alone, Want { limit, least, ..want })?;
        alone.commit()?;
        Ok(claimed)
    }

    fn take(&mut self, client: &mut impl GenericClient, want: Want<'_>) -> Result<Claimed, Error> {
        let held: Vec<&str> = want.held.iter().map(AsRef::as_ref).collect();
        let values: [&(dyn ToSql + Sync); 11] = [
            &self.queue,
            &count(want.limit),
            &count(want.least),
            &want.lease.as_ref(),
            &want.lease_for.as_secs_f64(),
            &held,
            &want.held_for.as_secs_f64(),
            &count(want.look),
            &want.levels.priorities,
            &want.levels.floors,
            &want.carries,
        ];
        let rows = self.prepared.query(client, CLAIM, &values)?;
        let mut claimed = Claimed::default();
        // Columns by their place: a name is looked for among all names, for each row.
        for row in rows {
            claimed.passed = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0);
            claimed.expired = usize::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0);
            let Some(delivery) = row.try_get::<_, Option<i64>>(2)? else { continue };
            let attempts: i32 = row.try_get(3)?;
            let name: &str = row.try_get(4)?;
            let last = claimed.claims.last().map(|claim| &claim.kind);
            let template: Option<&str> = row.try_get(6)?;
            let same =
                |kind: &&Arc<Kind>| *kind.name == *name && kind.template.as_deref() == template;
            let kind = match last.filter(same) {
                Some(kind) => Arc::clone(kind),
                None => Arc::new(kind(&row, name)?),
            };
            let list = row.try_get::<_, Option<String>>(18)?;
            claimed.claims.push(Claim {
                ticket: Ticket {
                    delivery,
                    lease: Arc::clone(want.lease),
                    attempts: u32::try_from(attempts).unwrap_or(0),
                    age: row.try_get::<_, Option<f64>>(17)?.map(seconds),
                },
                kind,
                reply_to: row.try_get(10)?,
                recipient: row.try_get(11)?,
                login: row.try_get::<_, Option<String>>(12)?.unwrap_or_default(),
                secret: Zeroizing::new(row.try_get::<_, Option<Vec<u8>>>(13)?.unwrap_or_default()),
                code: row.try_get(14)?,
                locale: row.try_get(15)?,
                data: row.try_get(16)?,
                list: match (list, row.try_get(19)?) {
                    (Some(id), Some(unsubscribe)) => Some(List { id, unsubscribe }),
                    _ => None,
                },
            });
        }
        Ok(claimed)
    }
}

/// The kind of a claimed row, as the row of `kinds` beside it says.
fn kind(row: &Row, name: &str) -> Result<Kind, Error> {
    Ok(Kind {
        name: name.into(),
        number: row.try_get::<_, Option<i16>>(5)?.and_then(|number| u16::try_from(number).ok()),
        template: row.try_get(6)?,
        path: row.try_get(7)?,
        signs_code: row.try_get(8)?,
        sender: row.try_get(9)?,
    })
}
