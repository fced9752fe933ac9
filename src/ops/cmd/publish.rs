//! `mailroom publish`: an issue to a list, once; followed, paused, cancelled.

use crate::edges::pg::session::Session;
use crate::edges::signal;
use crate::edges::stop::Stop;
use crate::lists::issue;
use crate::lists::issue::{Change, Issue, Publication};
use crate::mail::error::{Error, Kind};
use crate::ops::cmd::mail::read;
use crate::ops::config::Config;
use crate::ops::database::LONG;
use crate::ops::screen::page::{bar, clean, span};
use crate::ops::settings::{Verb, operation};
use crate::ops::terminal::{page, print};
use pico_args::Arguments;
use std::io::IsTerminal as _;
use std::time::Duration;

/// Between two looks at an issue that is followed.
const AGAIN: Duration = Duration::from_secs(1);

/// An issue that is to be published.
struct New {
    /// What is published; of a test neither key, moment nor filter counts. Its data may be `@` and the
    /// name of a file that holds it.
    what: Publication,
    /// It is not asked whether that is meant.
    yes: bool,
    /// Only say to how many.
    dry_run: bool,
    /// One copy to this address instead.
    test: Option<String>,
}

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let mut text = |flag| args.opt_value_from_str::<_, String>(flag);
    let (template, key, data) = (text("--template")?, text("--key")?, text("--data")?);
    let (at, test) = (text("--at")?, text("--test")?);
    let fields: Vec<String> = args.values_from_str("--where")?;
    let filter = issue::filter(&fields).map_err(Error::usage)?;
    let (yes, dry_run) = (args.contains("--yes"), args.contains("--dry-run"));
    let mut word = || args.opt_free_from_str::<String>();
    let (first, of) = (word()?, word()?);
    let how = match first.as_deref() {
        Some("status") => {
            return Ok(operation("publish", move |_, session, stop| match of {
                Some(key) if std::io::stdout().is_terminal() => follow(session, &key, stop),
                key => status(session, key.as_deref()),
            }));
        }
        Some("pause") => Change::Pause,
        Some("resume") => Change::Resume,
        Some("cancel") => Change::Cancel,
        Some(list) if of.is_none() => {
            let (Some(template), true) = (template, key.is_some() || test.is_some()) else {
                let why = "publish needs --template NAME, and --key KEY or --test ADDRESS";
                return Err(Error::usage(why));
            };
            let (list, key) = (list.to_owned(), key.unwrap_or_default());
            let what = Publication { list, template, key, data, not_before: at, filter };
            let new = New { what, yes, dry_run, test };
            return Ok(operation("publish", move |config, session, _| {
                publish(config, session, &new)
            }));
        }
        _ => {
            return Err(Error::usage(
                "publish needs a list, or one of: status [KEY], pause KEY, resume KEY, cancel KEY",
            ));
        }
    };
    let key = of.ok_or_else(|| Error::usage("which issue? its key is needed"))?;
    Ok(operation("publish", move |_, session, _| change(session, &key, how)))
}

fn publish(config: &Config, session: &mut Session, new: &New) -> Result<(), Error> {
    let data = new.what.data.as_deref().map(read).transpose()?;
    let what = Publication { data, ..new.what.clone() };
    let refused = |why: String| Error::new(Kind::Data, clean(&why));
    if let Some(address) = &new.test {
        let id = session.call(LONG, |client| issue::test(client, &what, address))?;
        return print(&format!("{}\n", id.map_err(refused)?));
    }
    let audience = session.call(LONG, |client| issue::audience(client, &what))?;
    let audience = audience.ok_or_else(|| refused(format!("there is no list {}", what.list)))?;
    if session.call(LONG, |client| issue::issues(client, Some(&what.key)))?.is_empty() {
        let takes = estimate(config, audience);
        let (list, s) = (clean(&what.list), if audience == 1 { "" } else { "s" });
        print(&format!("{audience} subscriber{s} of {list}, {takes}\n"))?;
        if new.dry_run || !new.yes && !is_meant()? {
            return Ok(());
        }
    }
    session.call(LONG, |client| issue::publish(client, &what))?.map_err(refused)?;
    status(session, Some(&what.key))
}

/// How long so many mails take, at the rate and under the limit that are set.
fn estimate(config: &Config, count: i64) -> String {
    let at_rate = count as f64 / config.send_rate;
    let share = config.daily_limit.map(|daily| daily as f64 * f64::from(config.bulk_share) / 100.0);
    let seconds = match share {
        Some(share) if count as f64 > share => (count as f64 / share * 86_400.0).max(at_rate),
        _ => at_rate,
    };
    let a_day = share.map_or(String::new(), |share| format!(" and {share:.0} a day"));
    format!("about {} at {} a second{a_day}", span(seconds), config.send_rate)
}

/// Asks on the terminal.
fn is_meant() -> Result<bool, Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage("nobody is there to ask; if it is meant, add --yes"));
    }
    print("Publish? [y/N] ")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Error::io("reading the answer failed", error))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn status(session: &mut Session, key: Option<&str>) -> Result<(), Error> {
    let found = session.call(LONG, |client| issue::issues(client, key))?;
    match (found.is_empty(), key) {
        (true, Some(key)) => Err(unknown(key)),
        (true, None) => page("no issue is under way\n"),
        _ => page(&found.iter().map(shown).collect::<String>()),
    }
}

/// The issue of this key.
fn one(session: &mut Session, key: &str) -> Result<Issue, Error> {
    let found = session.call(LONG, |client| issue::issues(client, Some(key)))?;
    found.into_iter().next().ok_or_else(|| unknown(key))
}

/// Draws how far an issue has come, over what was drawn before, until nothing of it is to go.
fn follow(session: &mut Session, key: &str, stop: &Stop) -> Result<(), Error> {
    signal::install(stop, 0).map_err(|why| Error::new(Kind::Bug, why))?;
    let mut over = String::new();
    loop {
        let one = one(session, key)?;
        let text = shown(&one);
        // No line wraps meanwhile (DECAWM): the lines are counted.
        print(&format!("{over}\u{1b}[?7l{text}\u{1b}[?7h"))?;
        if stop.requested() || one.left() == 0 && one.state != "publishing" {
            return Ok(());
        }
        over = format!("\u{1b}[{}A\u{1b}[J", text.lines().count());
        stop.sleep(AGAIN);
    }
}

fn unknown(key: &str) -> Error {
    Error::new(Kind::Data, format!("there is no issue {}", clean(key)))
}

fn shown(one: &Issue) -> String {
    let mut text =
        format!("{}: {} of {}, from {}\n", clean(&one.key), one.state, one.list, one.template);
    let of = (one.sent + one.failed + one.stopped() + one.left()).max(0) as u64;
    if std::io::stdout().is_terminal() {
        text += &format!("{}\n", bar(of - one.left().max(0) as u64, of, 40));
    }
    text += &format!("{} sent, {} to go, {} failed", one.sent, one.left(), one.failed);
    if one.stopped() > 0 {
        text += &format!(", {} not sent: they left, or it was cancelled", one.stopped());
    }
    text.push('\n');
    if one.starts > 0.0 {
        text += &format!("begins in {}\n", span(one.starts));
    } else if one.left() > 0 && one.rate > 0.0 {
        let left = span(one.left() as f64 / one.rate);
        text += &format!("{:.1} a second in the last five minutes; about {left} left\n", one.rate);
    }
    text
}

fn change(session: &mut Session, key: &str, how: Change) -> Result<(), Error> {
    let changed = session.call(LONG, |client| issue::change(client, key, how))?;
    let one = one(session, key)?;
    if !changed {
        print(&format!("nothing changed: it is {}\n", one.state))?;
    }
    page(&shown(&one))
}
