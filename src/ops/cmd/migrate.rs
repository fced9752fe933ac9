//! `mailroom migrate`: the schema.

use crate::edges::pg;
use crate::edges::pg::migrate::state::State;
use crate::edges::pg::migrate::{Change, Step};
use crate::edges::pg::session::Session;
use crate::edges::pg::target::Target;
use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::ops::cli::migrate::Migrate;
use crate::ops::config::Config;
use crate::ops::database::{target, unusable};
use crate::ops::terminal::print;
use crate::queue::fit;
use crate::queue::grants;
use crate::queue::grants::{Given, Purpose};
use crate::queue::schema;
use std::fmt::Write as _;
use std::time::Duration;

/// A migration of a large table takes its time.
const LIMIT: Duration = Duration::from_secs(3600);

/// Changes or shows the schema.
pub fn run(config: &Config, what: Migrate, stop: &Stop) -> Result<(), Error> {
    let target = target(config)?;
    let mut session = pg::connect(&target, stop).map_err(unusable)?;
    if !matches!(what, Migrate::Status) {
        refuse_pool(&mut session, &target, stop)?;
    }
    // The limits of the daemons' statements are not for migrations.
    let unlimited = "SET statement_timeout = 0; SET lock_timeout = 0; \
                     SET idle_in_transaction_session_timeout = 0";
    session.call(LIMIT, |client| client.batch_execute(unlimited)).map_err(unusable)?;
    if let Migrate::Grants { role, purpose } = &what {
        return grant(&mut session, role, *purpose);
    }
    let text = session
        .call(LIMIT, |client| {
            Ok(match what {
                Migrate::Grants { .. } => Ok(String::new()),
                Migrate::Up => schema::up(client).map(|steps| listed(&steps)),
                Migrate::Down { steps, yes } => down(client, steps, yes),
                Migrate::Status => schema::status(client).map(|status| shown(&status)),
                Migrate::Force(version) => schema::force(client, version)
                    .map(|()| format!("recorded version {version} as applied and clean\n")),
            })
        })
        .map_err(unusable)??;
    print(&text)
}

/// The lock of a migration would stay behind on a connection that is lent to somebody else.
fn refuse_pool(session: &mut Session, target: &Target, stop: &Stop) -> Result<(), Error> {
    let Ok(mut other) = pg::connect(target, stop) else { return Ok(()) };
    let found = fit::pooled(session, &mut other).map_err(unusable)?;
    fit::refuse(&found).map_err(Error::config)
}

fn down(client: &mut pg::Client, steps: u32, yes: bool) -> Result<String, Error> {
    if let Some(lost) = schema::loss(client, steps)?
        && !yes
    {
        return Err(Error::usage(format!("this drops {lost}; if that is meant, add --yes")));
    }
    schema::down(client, Some(steps)).map(|steps| listed(&steps))
}

fn grant(session: &mut Session, role: &str, purpose: Purpose) -> Result<(), Error> {
    session.call(LIMIT, |client| Ok(schema::require_current(client))).map_err(unusable)??;
    match session.call(LIMIT, |client| grants::give(client, role, purpose)).map_err(unusable)? {
        Given::Done(statements) => print(&format!("{};\n", statements.join(";\n"))),
        Given::NotOurs(missing) => Err(Error::config(format!(
            "only the owner of the tables can give these: {}",
            missing.join(", ")
        ))),
        Given::NoRole => Err(Error::config(format!(
            "there is no role {role:?}: make it first (CREATE ROLE … LOGIN)"
        ))),
    }
}

fn listed(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        let done = match step.change {
            Change::Applied => "applied",
            Change::Reverted => "reverted",
            Change::Recorded => "found and recorded",
        };
        let _ = writeln!(out, "{}_{} {done}", step.version, step.name);
    }
    if steps.is_empty() {
        out.push_str("nothing to do\n");
    }
    out
}

fn shown(status: &State) -> String {
    let mut out = String::new();
    let version = status.version.map_or("none".to_owned(), |version| version.to_string());
    let _ = writeln!(out, "schema {}, version {version} of {}", status.schema, schema::NEWEST);
    if status.dirty {
        out.push_str("dirty: a migration broke off; `mailroom migrate up` looks and goes on\n");
    }
    if status.version.is_some() && !status.recorded {
        out.push_str(
            "not recorded: the tables were made by hand; `mailroom migrate up` takes them over\n",
        );
    }
    for one in schema::SCHEMA.migrations {
        let state = if Some(one.version) <= status.version { "applied" } else { "pending" };
        let _ = writeln!(out, "  {}_{}  {state}", one.version, one.name);
    }
    out
}
