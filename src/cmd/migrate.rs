//! `mailroom migrate`: the schema.

use super::{print, target};
use crate::cli::Migrate;
use crate::config::Config;
use crate::db::migrate::{self, Change, Status, Step};
use crate::db::{self, Fault};
use crate::error::{Error, Kind};
use crate::stop::Stop;
use std::fmt::Write as _;
use std::time::Duration;

/// A migration of a large table takes its time.
const LIMIT: Duration = Duration::from_secs(3600);

/// Changes or shows the schema.
pub fn run(config: &Config, what: Migrate, stop: &Stop) -> Result<(), Error> {
    let target = target(config)?;
    let failed = |fault: Fault| match fault {
        Fault::Denied(text) => Error::config(text),
        Fault::Lost(text) | Fault::Statement(text) => Error::new(Kind::Unavailable, text),
    };
    let mut session = db::connect(&target, stop).map_err(failed)?;
    // The limits of the daemons' statements are not for migrations.
    let unlimited = "SET statement_timeout = 0; SET lock_timeout = 0; \
                     SET idle_in_transaction_session_timeout = 0";
    session.call(LIMIT, |client| client.batch_execute(unlimited)).map_err(failed)?;
    let text = session
        .call(LIMIT, |client| {
            Ok(match what {
                Migrate::Up => migrate::up(client).map(|steps| told(&steps)),
                Migrate::Down(steps) => migrate::down(client, Some(steps)).map(|s| told(&s)),
                Migrate::Status => migrate::status(client).map(|status| shown(&status)),
                Migrate::Force(version) => migrate::force(client, version)
                    .map(|()| format!("recorded version {version} as applied and clean\n")),
            })
        })
        .map_err(failed)??;
    print(&text)
}

fn told(steps: &[Step]) -> String {
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

fn shown(status: &Status) -> String {
    let mut out = String::new();
    let version = status.version.map_or("none".to_owned(), |version| version.to_string());
    let _ = writeln!(out, "schema {}, version {version} of {}", status.schema, status.newest);
    if status.dirty {
        out.push_str("dirty: a migration broke off; see `mailroom help migrate` for force\n");
    }
    if status.version.is_some() && !status.recorded {
        out.push_str(
            "not recorded: the tables were made by hand; `mailroom migrate up` takes them over\n",
        );
    }
    for (version, name, applied) in &status.known {
        let state = if *applied { "applied" } else { "pending" };
        let _ = writeln!(out, "  {version}_{name}  {state}");
    }
    out
}
