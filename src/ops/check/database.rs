//! What `collect` and `run` need of the database.

use crate::edges::pg as db;
use crate::edges::pg::fault;
use crate::edges::pg::fault::Fault;
use crate::edges::pg::session::Session;
use crate::edges::pg::target::{Place, Target, TlsMode};
use crate::ops::check::Round;
use crate::ops::check::clock::{APART, ahead, apart};
use crate::ops::database::{STEP, target};
use crate::ops::screen::page::clean;
use crate::pump::system_clock;
use crate::queue::preflight;
use crate::queue::preflight::Facts;
use crate::queue::source::settings::Retention;
use crate::queue::{grants, operate, schema};
use std::time::Duration;

/// How long a notification may take.
const HEARD: Duration = Duration::from_secs(5);
/// What cannot be looked at without a connection.
const REST: [&str; 8] =
    ["database TLS", "schema", "queue", "actions", "grants", "NOTIFY", "channel", "database clock"];

/// Looks at the database, and at all that hangs on it.
pub fn check(round: &mut Round) {
    let unknown = |round: &mut Round, names: &[&str], why: &str| {
        names.iter().for_each(|name| round.checks.unknown(name, why));
    };
    if round.is_wrong("MAILROOM_DATABASE_URL") {
        unknown(round, &["database"], "MAILROOM_DATABASE_URL is wrong or missing");
        return unknown(round, &REST, "there is no database to ask");
    }
    let opened = open(round);
    let Some((target, mut session, facts)) = opened else {
        return unknown(round, &REST, "the database was not reached");
    };
    encryption(round, &target, &facts);
    let current = schema(round, &mut session, &facts);
    match facts.channel == round.config.channel {
        _ if !current => round.checks.unknown("channel", "there may be no triggers"),
        _ if round.is_wrong("MAILROOM_CHANNEL_NAME") => {
            round.checks.unknown("channel", "MAILROOM_CHANNEL_NAME is wrong");
        }
        true => round.checks.ok("channel", format!("the triggers notify {:?}", facts.channel)),
        false => {
            let detail = format!(
                "the triggers of this database notify {:?}, MAILROOM_CHANNEL_NAME is {:?}: mail \
                 would be found at the next healthcheck only",
                facts.channel, round.config.channel
            );
            let advice = "set MAILROOM_CHANNEL_NAME, or ALTER DATABASE … SET mailroom.channel";
            round.checks.misconfigured("channel", detail, advice);
        }
    }
    clock(round, &mut session);
    notify(round, &target, session, &facts);
}

/// Connects, and says to what.
fn open(round: &mut Round) -> Option<(Target, Session, Facts)> {
    let wanted = "let MAILROOM_DATABASE_URL be a libpq connection string";
    let mut target = match target(round.config) {
        Ok(target) => target,
        Err(error) => {
            round.checks.misconfigured("database", error.message, wanted);
            return None;
        }
    };
    target.name("check");
    target.hurry(STEP);
    for warning in &target.warnings {
        round.checks.warning("password file", warning, "");
    }
    let found = db::connect(&target, round.stop)
        .and_then(|mut session| Ok((session.call(STEP, preflight::facts)?, session)));
    match found {
        Ok((facts, session)) => {
            let (role, version) = (&facts.role, &facts.version);
            let detail = format!("{} as {role}, PostgreSQL {version}", session.label());
            if facts.read_only {
                let detail = format!("{detail}: nothing can be written there");
                let advice = "connect to the primary, not to a standby, without \
                              default_transaction_read_only";
                round.checks.misconfigured("database", detail, advice);
            } else {
                round.checks.ok("database", detail);
            }
            Some((target, session, facts))
        }
        Err(Fault::Denied(text)) => {
            let advice = "change the role, its password, the database's name or pg_hba.conf";
            round.checks.misconfigured("database", text, advice);
            None
        }
        Err(Fault::Lost(text) | Fault::Statement(text)) => {
            let advice = "see that the server runs and that host, port and firewall are right";
            round.checks.unreachable("database", text, advice);
            None
        }
    }
}

/// Whether others could read along, or pretend to be the server.
fn encryption(round: &mut Round, target: &Target, facts: &Facts) {
    let near = target.places.iter().all(|place| match place {
        Place::Socket(..) => true,
        Place::Tcp { host, addr, .. } => {
            let addr = addr.or_else(|| host.parse().ok());
            addr.map_or(host == "localhost", |addr| addr.is_loopback())
        }
    });
    match privacy(target.tls, facts.tls.as_deref(), near) {
        Ok(detail) => round.checks.ok("database TLS", detail),
        Err(detail) => {
            let advice = "use sslmode=verify-full with sslrootcert=FILE or system";
            round.checks.warning("database TLS", detail, advice);
        }
    }
}

/// How well a connection is protected; `Err` if not well. `near`: it stays on this machine.
fn privacy(mode: TlsMode, tls: Option<&str>, near: bool) -> Result<String, String> {
    let Some(tls) = tls else {
        return match near {
            true => Ok("not encrypted, and it need not be: it stays on this machine".to_owned()),
            false => Err("not encrypted".to_owned()),
        };
    };
    match mode {
        TlsMode::VerifyFull => Ok(format!("{tls}; the certificate and its name are verified")),
        TlsMode::VerifyCa => Ok(format!("{tls}; the certificate is verified, not its name")),
        TlsMode::Disable | TlsMode::Prefer | TlsMode::Require => {
            let detail = format!("{tls}; the certificate is not verified");
            if near { Ok(detail + ", on this machine") } else { Err(detail) }
        }
    }
}

/// Schema, queue and grants: what a daemon looks at when it connects. Gives whether the schema is
/// the one that is needed.
fn schema(round: &mut Round, session: &mut Session, facts: &Facts) -> bool {
    match session.call(STEP, |client| Ok(schema::require_current(client))) {
        Ok(Ok(())) => round.checks.ok("schema", format!("version {}", schema::NEWEST)),
        Ok(Err(error)) => {
            let advice = match error.message.contains("mailroom migrate grants") {
                true => "",
                false => "run `mailroom migrate up` as the owner of the tables",
            };
            round.checks.misconfigured("schema", error.message, advice);
            for name in ["queue", "actions", "grants"] {
                round.checks.unknown(name, "the schema is not the one that is needed");
            }
            return false;
        }
        Err(fault) => {
            round.checks.unreachable("schema", fault.to_string(), "");
            for name in ["queue", "actions", "grants"] {
                round.checks.unknown(name, "the schema could not be read");
            }
            return false;
        }
    }
    let queue = round.config.queue.as_str();
    match session.call(STEP, |client| operate::exists(client, queue)) {
        _ if round.is_wrong("MAILROOM_QUEUE_NAME") => {
            round.checks.unknown("queue", "MAILROOM_QUEUE_NAME is wrong");
        }
        Ok(true) => match session.call(STEP, |client| preflight::paused(client, queue)) {
            Ok(Some(reason)) => {
                let why = if reason.is_empty() { "" } else { ": " };
                let detail = format!("{queue} is paused{why}{}", clean(&reason));
                round.checks.warning("queue", detail, "mailroom queue resume");
            }
            _ => round.checks.ok("queue", queue),
        },
        Ok(false) => {
            let detail = format!("there is no queue {queue:?}");
            let advice = "MAILROOM_QUEUE_NAME must be a value of the type job_type with a row in \
                          the table jobs";
            round.checks.misconfigured("queue", detail, advice);
        }
        Err(fault) => round.checks.unknown("queue", &fault.to_string()),
    }
    actions(round, session);
    row_security(round, session);
    let deletes = round.config.retention != Retention::Forever;
    match session.call(STEP, |client| grants::lacked(client, deletes)) {
        Ok(missing) if missing.is_empty() => {
            round.checks.ok("grants", format!("{} has all that is needed", facts.role));
        }
        Ok(missing) => {
            let detail = format!("{} lacks {}", facts.role, missing.join("; "));
            let advice = format!(
                "grant them, or run as the owner of the tables: mailroom migrate grants '{}'",
                facts.role
            );
            round.checks.misconfigured("grants", detail, &advice);
        }
        Err(fault) => round.checks.unknown("grants", &fault.to_string()),
    }
    true
}

/// Whether rows may be hidden from this role: their mails would wait, or never be seen.
fn row_security(round: &mut Round, session: &mut Session) {
    const NAME: &str = "row level security";
    match session.call(STEP, preflight::row_security) {
        Ok(tables) if tables.is_empty() => round.checks.ok(NAME, "hides nothing"),
        Ok(tables) => {
            let detail = format!("may hide rows of {}", tables.join(", "));
            let advice = "let a policy show the daemon all rows, or give its role BYPASSRLS";
            round.checks.warning(NAME, detail, advice);
        }
        Err(fault) => round.checks.unknown(NAME, &fault.to_string()),
    }
}

/// Whether every kind of mail has a template. `collect` needs none, so it is not a fault.
fn actions(round: &mut Round, session: &mut Session) {
    const NAME: &str = "actions";
    if round.any_wrong(&["MAILROOM_QUEUE_NAME", "MAILROOM_TEMPLATES"]) {
        return round.checks.unknown(NAME, "a setting that says which is wrong");
    }
    let queue = round.config.queue.as_str();
    let actions = match session.call(STEP, |client| preflight::actions(client, queue)) {
        Ok(actions) => actions,
        Err(fault) => return round.checks.unknown(NAME, &fault.to_string()),
    };
    let templates = &round.config.templates;
    let without = actions.iter().filter(|(number, _)| templates.name(*number).is_none());
    let without: Vec<String> =
        without.map(|(number, action)| format!("{number} ({action})")).collect();
    if without.is_empty() {
        return round.checks.ok(NAME, "each has a template");
    }
    let detail = format!("no template for {}: mails of that kind are held", without.join(", "));
    let advice = "add NUMBER=TEMPLATE for each to MAILROOM_TEMPLATES";
    round.checks.warning(NAME, detail, advice);
}

fn clock(round: &mut Round, session: &mut Session) {
    const NAME: &str = "database clock";
    let wall = system_clock().wall;
    let before = wall();
    let time = session.call(STEP, preflight::clock);
    let after = wall();
    match time.map(|time| ahead(time, before, after)) {
        Ok(seconds) if seconds.abs() <= APART.as_secs_f64() => {
            round.checks.ok(NAME, apart("the database's", seconds));
        }
        Ok(seconds) => {
            let advice = "set both clocks by NTP; the queue goes by the database's alone";
            round.checks.warning(NAME, apart("the database's", seconds), advice);
        }
        Err(fault) => round.checks.unknown(NAME, &fault.to_string()),
    }
}

/// A notification from one connection to another. Behind a pooler that lends both of them the same
/// server process there is nothing to try.
fn notify(round: &mut Round, target: &Target, mut ear: Session, facts: &Facts) {
    const NAME: &str = "NOTIFY";
    let channel = format!("mailroom_check_{}_{}", std::process::id(), facts.pid);
    let now = system_clock().now;
    let heard = (|| {
        let mut mouth = db::connect(target, round.stop)?;
        if ear.is_pooled_with(&mut mouth)? {
            return Ok((false, false, Duration::ZERO));
        }
        ear.listen(&channel)?;
        let begun = now();
        mouth.call(STEP, |client| preflight::notify(client, &channel))?;
        let heard = ear.wait(begun + HEARD)?;
        Ok::<_, Fault>((heard > 0, true, now().saturating_duration_since(begun)))
    })();
    let advice = fault::UNPOOLED;
    match heard {
        Ok((true, true, took)) => {
            let detail = format!("a notification came within {} ms", took.as_millis());
            round.checks.ok(NAME, detail);
        }
        Ok((_, false, _)) => {
            round.checks.misconfigured(NAME, fault::POOLED, advice);
        }
        Ok((false, true, _)) => {
            let detail = format!("no notification came within {} s", HEARD.as_secs());
            round.checks.misconfigured(NAME, detail, advice);
        }
        Err(fault) => {
            let detail = format!("it could not be tried: {fault}");
            round.checks.warning(NAME, detail, "a second connection is needed for a moment");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_read_or_fake_is_a_warning() {
        for (mode, tls, near, good) in [
            (TlsMode::Prefer, None, true, true),
            (TlsMode::Prefer, None, false, false),
            (TlsMode::Require, Some("TLSv1.3"), false, false),
            (TlsMode::Prefer, Some("TLSv1.3"), true, true),
            (TlsMode::VerifyCa, Some("TLSv1.3"), false, true),
            (TlsMode::VerifyFull, Some("TLSv1.3"), false, true),
        ] {
            assert_eq!(privacy(mode, tls, near).is_ok(), good, "{mode:?} {tls:?} {near}");
        }
    }
}
