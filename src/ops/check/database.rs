//! What `collect` and `run` need of the database.

use crate::edges::pg;
use crate::edges::pg::fault::{BALANCED, Fault, POOLED, READ_ONLY, UNBALANCED, UNPOOLED};
use crate::edges::pg::session::Session;
use crate::edges::pg::statement::sql;
use crate::edges::pg::target::{Target, TlsMode};
use crate::mail::model;
use crate::mail::recipient::{self, split};
use crate::ops::check::Round;
use crate::ops::check::clock::{APART, ahead, apart};
use crate::ops::database::{STEP, purpose, target};
use crate::ops::screen::page::clean;
use crate::pump::system_clock;
use crate::queue::fit;
use crate::queue::fit::{Finding, Severity};
use crate::queue::link::POLL;
use crate::queue::samples;
use crate::queue::schema;
use std::time::{Duration, SystemTime};

/// How long a notification may take.
const HEARD: Duration = Duration::from_secs(5);
/// All that is not looked at without a connection.
const REST: &str = "what the database holds";

/// The setting that says what to look for.
fn setting(subject: &str) -> &'static str {
    match subject {
        "queue" | "pause" => "MAILROOM_QUEUE_NAME",
        "channel" => "MAILROOM_CHANNEL_NAME",
        _ => "",
    }
}

/// Looks at the database, and at all that hangs on it.
pub fn check(round: &mut Round<'_>) {
    if round.is_wrong("MAILROOM_DATABASE_URL") {
        round.checks.unknown("database", "MAILROOM_DATABASE_URL is wrong or missing");
        return round.checks.unknown(REST, "there is no database to ask");
    }
    let mut target = match target(round.config) {
        Ok(target) => target,
        Err(error) => {
            let advice = "let MAILROOM_DATABASE_URL be a libpq connection string";
            round.checks.misconfigured("database", error.message, advice);
            return round.checks.unknown(REST, "there is no database to ask");
        }
    };
    target.name("check");
    target.hurry(STEP);
    if let Some(warning) = &target.warning {
        round.checks.warning("password file", warning, "");
    }
    if let Err(fault) = look(round, &target) {
        match fault {
            Fault::Denied(text) => {
                let advice = "change the role, its password, the database's name or pg_hba.conf";
                round.checks.misconfigured("database", text, advice);
            }
            Fault::Lost(text) | Fault::Statement(text) => {
                let advice = "see that the server runs and that host, port and firewall are right";
                round.checks.unreachable("database", text, advice);
            }
        }
        round.checks.unknown(REST, "the database was not reached");
    }
}

/// Connects, and looks at all there is.
fn look(round: &mut Round<'_>, target: &Target) -> Result<(), Fault> {
    let mut session = pg::connect(target, round.stop)?;
    let wall = system_clock().wall;
    let before = wall();
    let (role, version, tls, pid, clock_there): (String, String, Option<String>, i32, SystemTime) =
        session.call(STEP, |client| {
            let row = client.query_one(sql!("../../queue/sql/facts.sql"), &[])?;
            let (role, version) = (row.try_get("role")?, row.try_get("version")?);
            Ok((role, version, row.try_get("tls")?, row.try_get("pid")?, row.try_get("clock")?))
        })?;
    let seconds = ahead(clock_there, before, wall());
    let purpose = purpose(round.config, Some(&round.config.channel));
    let found = fit::inspect(&mut session, STEP, &purpose)?;
    let name = format!("{} as {}, PostgreSQL {}", session.label(), role, version);
    match found.iter().find(|one| one.subject == "database") {
        Some(Finding { severity: Severity::Wrong, detail, advice, .. })
            if !session.can_write(STEP)? =>
        {
            round.checks.misconfigured("database", format!("{name}: {detail}"), advice);
        }
        _ => round.checks.ok("database", name),
    }
    encryption(round, target, tls.as_deref());
    for name in fit::subjects() {
        let setting = setting(name);
        match found.iter().find(|one| one.subject == name) {
            _ if round.is_wrong(setting) => {
                round.checks.unknown(name, &format!("{setting} is wrong"));
            }
            Some(finding) => show(round, finding, &role),
            None => round.checks.unknown(name, "the schema is not the one that is needed"),
        }
    }
    match found.iter().any(|one| one.subject == "schema" && one.severity == Severity::Good) {
        true => functions(round, &mut session),
        false => round.checks.unknown("functions", "the schema is not the one that is needed"),
    }
    kinds(round, &mut session);
    clock(round, seconds);
    notify(round, target, session, pid);
    Ok(())
}

fn show(round: &mut Round<'_>, finding: &Finding, role: &str) {
    let (name, detail) = (finding.subject, clean(&finding.detail));
    match (finding.severity, finding.advice) {
        (Severity::Good, _) => round.checks.ok(name, detail),
        (Severity::Warning, advice) => round.checks.warning(name, detail, advice),
        (_, "") => round.checks.misconfigured(name, detail, "do that, as the owner of the tables"),
        (_, advice) => {
            round.checks.misconfigured(name, detail, &advice.replace("ROLE", &format!("'{role}'")));
        }
    }
}

/// Whether others could read along, or pretend to be the server.
fn encryption(round: &mut Round<'_>, target: &Target, tls: Option<&str>) {
    match privacy(target.tls, tls, target.is_near()) {
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

/// Whether the functions that triggers and applications call are those of the migration: one that was
/// replaced may not ask for mail, and no trigger shows it.
fn functions(round: &mut Round<'_>, session: &mut Session) {
    const NAME: &str = "functions";
    let found = session.call(STEP, |client| {
        let rows = client.query(sql!("../../queue/sql/functions.sql"), &[])?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    });
    let found: Vec<(String, String)> = match found {
        Ok(found) => found,
        Err(fault) => return round.checks.unknown(NAME, &fault.to_string()),
    };
    let is_there = |(name, body): &(&str, &str)| found.iter().any(|(n, b)| n == name && b == body);
    let other = made(schema::text()).filter(|one| !is_there(one)).map(|(name, _)| name);
    let other: Vec<&str> = other.collect();
    if other.is_empty() {
        return round.checks.ok(NAME, "each is as the migration made it");
    }
    let detail = format!("missing, or not as the migration made it: {}", other.join(", "));
    let advice = "unless that is meant, CREATE OR REPLACE it as it stands in \
                  migrations/1_mailroom.up.sql of this version; `mailroom migrate up` leaves it as \
                  it is";
    round.checks.warning(NAME, detail, advice);
}

/// Name and body of each function that a migration makes.
fn made(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("FUNCTION ").filter_map(|part| {
        let (name, rest) = part.split_once('(')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        Some((name, rest.split("$$").nth(1)?)).filter(|_| is_name)
    })
}

/// Whether every kind of mail has a template. `collect` needs none, so it is not a fault.
fn kinds(round: &mut Round<'_>, session: &mut Session) {
    const NAME: &str = "actions";
    if round.is_wrong("MAILROOM_QUEUE_NAME") || round.is_wrong("MAILROOM_TEMPLATES") {
        return round.checks.unknown(NAME, "a setting that says which is wrong");
    }
    let queue = round.config.queue.as_str();
    round.kinds = match session.call(STEP, |client| samples::read(client, queue)) {
        Ok(kinds) => kinds,
        Err(fault) => return round.checks.unknown(NAME, &fault.to_string()),
    };
    for model::Kind { name, sender, .. } in round.kinds.iter().map(|one| &one.kind) {
        if let Some(Err(why)) = sender.as_deref().map(|from| recipient::check(split(from).1)) {
            let detail = format!("{name}: {why}; its mails are held");
            round.checks.misconfigured("kinds.sender", detail, "an address, or `Name <address>`");
        }
    }
    let templates = &round.config.templates;
    let numbers = round.kinds.iter().filter_map(|one| Some((one.kind.number?, &one.kind.name)));
    let without =
        numbers.filter(|(number, _)| templates.name(&model::Kind::numbered(*number)).is_none());
    let without: Vec<String> = without.map(|(number, kind)| format!("{number} ({kind})")).collect();
    if without.is_empty() {
        return round.checks.ok(NAME, "each has a template");
    }
    let detail = format!(
        "no template for {}: `send` holds such mails if it reads them as CSV; `run` takes what the table \
         kinds says",
        without.join(", ")
    );
    let advice = "add NUMBER=TEMPLATE for each to MAILROOM_TEMPLATES";
    round.checks.warning(NAME, detail, advice);
}

/// `seconds`: how far the database's clock is ahead of ours.
fn clock(round: &mut Round<'_>, seconds: f64) {
    let (name, detail) = ("database clock", apart("the database's", seconds));
    if seconds.abs() <= APART.as_secs_f64() {
        return round.checks.ok(name, detail);
    }
    let advice = "set both clocks by NTP; the queue goes by the database's alone";
    round.checks.warning(name, detail, advice);
}

/// A notification from one connection to another. Behind a pooler that lends both of them the same
/// server process there is nothing to try.
fn notify(round: &mut Round<'_>, target: &Target, mut ear: Session, pid: i32) {
    const NAME: &str = "NOTIFY";
    let channel = format!("mailroom_check_{}_{}", std::process::id(), pid);
    let now = system_clock().now;
    let tried = (|| {
        // As the daemons connect.
        let mut target = target.clone();
        target.write();
        let mut mouth = pg::connect(&target, round.stop)?;
        if mouth.is_balanced() {
            return Ok(Err((BALANCED, UNBALANCED)));
        }
        if ear.is_pooled_with(&mut mouth)? {
            return Ok(Err((POOLED, UNPOOLED)));
        }
        ear.listen(&channel)?;
        let begun = now();
        mouth.call(STEP, |client| client.query("SELECT pg_notify($1, '')", &[&channel]))?;
        let heard = ear.wait(begun + HEARD)? > 0;
        Ok::<_, Fault>(Ok(heard.then(|| now().saturating_duration_since(begun))))
    })();
    match tried {
        Ok(Ok(Some(took))) => {
            let detail = format!("a notification came within {} ms", took.as_millis());
            round.checks.ok(NAME, detail);
        }
        Ok(Ok(None)) => {
            let detail = format!("no notification came within {} s", HEARD.as_secs());
            round.checks.misconfigured(NAME, detail, UNPOOLED);
        }
        Ok(Err((why, advice))) => {
            let poll = round.config.poll.unwrap_or(POLL).as_millis();
            let detail = format!(
                "{why}: mail is looked for each {poll} ms, each statement is a transaction of four \
                 round trips, and status and health do not see who works the queue"
            );
            round.checks.warning(NAME, detail, advice);
        }
        Err(Fault::Lost(text)) if text.contains(READ_ONLY) => {
            let detail = format!("`run` would not connect: {text}");
            round.checks.misconfigured(NAME, detail, UNBALANCED);
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
    fn each_function_of_the_migration_is_found_with_its_body() {
        let text = schema::text();
        assert_eq!(made(text).count(), text.matches("AS $$\n").count());
        for (name, body) in made(text) {
            assert!(text.contains(&format!("FUNCTION {name}(")), "{name}");
            assert!(body.starts_with('\n') && body.ends_with('\n'), "{name}: {body}");
        }
    }

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
