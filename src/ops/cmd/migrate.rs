//! `mailroom migrate`: the schema.

use crate::edges::pg;
use crate::edges::pg::fault::{POOLED, UNPOOLED};
use crate::edges::pg::migrate::state::State;
use crate::edges::pg::migrate::{Change, Step};
use crate::edges::pg::session::Session;
use crate::edges::pg::target::Target;
use crate::edges::pg::{Client, StatementError};
use crate::edges::stop::Stop;
use crate::mail::error::Error;
use crate::ops::database::target;
use crate::ops::settings::Verb;
use crate::ops::terminal::print;
use crate::queue::grants;
use crate::queue::grants::{APPLICATION, COLLECTOR, Grant, LISTS, OPERATOR};
use crate::queue::schema;
use crate::queue::schema::SCHEMA;
use pico_args::Arguments;
use std::fmt::Write as _;
use std::time::Duration;

/// A migration of a large table takes its time.
const LIMIT: Duration = Duration::from_secs(3600);

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let word = args.subcommand()?.unwrap_or_default();
    let wrong = |what: &str| Error::usage(format!("migrate {word} needs {what}"));
    Ok(match word.as_str() {
        "up" => verb(true, |client| Ok(schema::up(client).map(|steps| listed(&steps)))),
        "status" => verb(false, |client| Ok(schema::status(client).map(|status| shown(&status)))),
        "down" => {
            let yes = args.contains("--yes");
            let steps: Option<String> = args.opt_free_from_str()?;
            let steps =
                steps.as_deref().unwrap_or("1").parse().ok().filter(|steps: &u32| *steps > 0);
            let steps = steps.ok_or_else(|| wrong("a number of steps, at least 1"))?;
            verb(true, move |client| Ok(down(client, steps, yes)))
        }
        "force" => {
            let version: Option<String> = args.opt_free_from_str()?;
            let version = version.ok_or_else(|| wrong("a version"))?.parse().ok();
            let version = version.filter(|version: &i64| *version >= -1);
            let version = version.ok_or_else(|| wrong("a version, or -1 for none"))?;
            let done = format!("recorded version {version} as applied and clean\n");
            verb(true, move |client| Ok(schema::force(client, version).map(|()| done)))
        }
        "grants" => {
            let given = ["--operator", "--application", "--lists"].map(|flag| args.contains(flag));
            let needed = match given {
                [false, false, false] => COLLECTOR.to_vec(),
                [true, false, false] => [COLLECTOR, OPERATOR].concat(),
                [false, true, false] => APPLICATION.to_vec(),
                [false, false, true] => LISTS.to_vec(),
                _ => return Err(wrong("one of --operator, --application and --lists at a time")),
            };
            let role: Option<String> = args.opt_free_from_str()?;
            let role = role.ok_or_else(|| wrong("a role"))?;
            verb(true, move |client| grant(client, &role, &needed))
        }
        _ => {
            return Err(Error::usage(
                "migrate needs one of: up, down [N], status, force VERSION, grants ROLE",
            ));
        }
    })
}

/// What there is to print, or why not.
type Said = Result<Result<String, Error>, StatementError>;

/// Prints what `work` has done to the schema, or found there.
fn verb(changes: bool, work: impl FnOnce(&mut Client) -> Said + 'static) -> Verb {
    connected(changes, Box::new(work))
}

/// As [`verb`], and not compiled once for each.
fn connected(changes: bool, work: Box<dyn FnOnce(&mut Client) -> Said>) -> Verb {
    Box::new(move |given, stop| {
        let target = target(&given.config)?;
        let mut session = pg::connect(&target, stop)?;
        if changes {
            refuse_pool(&mut session, &target, stop)?;
        }
        // The limits of the daemons' statements are not for migrations.
        let unlimited = "SET statement_timeout = 0; SET lock_timeout = 0; \
                         SET idle_in_transaction_session_timeout = 0";
        session.call(LIMIT, |client| client.batch_execute(unlimited))?;
        print(&session.call(LIMIT, work)??)
    })
}

/// The lock of a migration would stay behind on a connection that is lent to somebody else.
fn refuse_pool(session: &mut Session, target: &Target, stop: &Stop) -> Result<(), Error> {
    let Ok(mut other) = pg::connect(target, stop) else { return Ok(()) };
    match session.is_pooled_with(&mut other)? {
        true => Err(Error::config(format!("{POOLED}; {UNPOOLED}"))),
        false => Ok(()),
    }
}

fn down(client: &mut Client, steps: u32, yes: bool) -> Result<String, Error> {
    if let Some(lost) = schema::loss(client, steps)?
        && !yes
    {
        return Err(Error::usage(format!("this drops {lost}; if that is meant, add --yes")));
    }
    schema::down(client, steps).map(|steps| listed(&steps))
}

fn grant(
    client: &mut Client,
    role: &str,
    needed: &[Grant],
) -> Result<Result<String, Error>, StatementError> {
    if let Err(fault) = SCHEMA.require_current(client) {
        return Ok(Err(fault.into()));
    }
    let given = grants::give(client, role, needed)?;
    Ok(given.map(|statements| format!("{};\n", statements.join(";\n"))))
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
    for one in SCHEMA.migrations {
        let state = if Some(one.version) <= status.version { "applied" } else { "pending" };
        let _ = writeln!(out, "  {}_{}  {state}", one.version, one.name);
    }
    out
}
