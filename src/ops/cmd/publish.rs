//! `mailroom publish`: an issue to a list, once; followed, paused, cancelled.

use crate::edges::pg::fault::Fault;
use crate::edges::pg::session::Session;
use crate::edges::signal;
use crate::edges::stop::Stop;
use crate::lists::issue;
use crate::lists::issue::{Change, Issue, Publication};
use crate::mail::error::{Error, Kind};
use crate::ops::cli::publish::{New, Publish};
use crate::ops::cmd::mail::read;
use crate::ops::config::Config;
use crate::ops::database::{session, unusable};
use crate::ops::screen::page::{bar, clean, span};
use crate::ops::terminal::{page, print};
use std::io::IsTerminal as _;
use std::time::Duration;

/// The longest that a statement may take: to how many an issue goes is counted. The server's own limit
/// is shorter.
const STEP: Duration = Duration::from_secs(30);

/// Between two looks at an issue that is followed.
const AGAIN: Duration = Duration::from_secs(1);

/// Does it.
pub fn run(config: &Config, what: &Publish, stop: &Stop) -> Result<(), Error> {
    let mut session = session(config, "publish", stop)?;
    match what {
        Publish::New(new) => publish(config, &mut session, new),
        Publish::Status(Some(key)) if std::io::stdout().is_terminal() => {
            follow(&mut session, key, stop)
        }
        Publish::Status(key) => status(&mut session, key.as_deref()),
        Publish::Change(key, how) => change(&mut session, key, *how),
    }
}

/// What a fault means where an operator's rights are needed.
pub fn may_publish(fault: Fault) -> Error {
    let mut error = unusable(fault);
    if error.kind == Kind::Config {
        error.message +=
            "; let the owner of the tables run: mailroom migrate grants ROLE --operator";
    }
    error
}

fn publish(config: &Config, session: &mut Session, new: &New) -> Result<(), Error> {
    let data = new.data.as_deref().map(read).transpose()?;
    let (list, template, data) = (new.list.as_str(), new.template.as_str(), data.as_deref());
    let refused = |why: String| Error::new(Kind::Data, clean(&why));
    if let Some(address) = &new.test {
        let id = session
            .call(STEP, |client| issue::test(client, list, template, address, data))
            .map_err(may_publish)?
            .map_err(refused)?;
        return print(&format!("{id}\n"));
    }
    let filter = new.filter.as_deref();
    let audience = session
        .call(STEP, |client| issue::audience(client, list, filter))
        .map_err(may_publish)?
        .ok_or_else(|| refused(format!("there is no list {list}")))?;
    let known = session.call(STEP, |client| issue::issues(client, Some(&new.key)));
    if known.map_err(may_publish)?.is_empty() {
        let takes = estimate(config, audience);
        print(&format!("{audience} subscribers of {}, {takes}\n", clean(list)))?;
        if new.dry_run || !new.yes && !is_meant()? {
            return Ok(());
        }
    }
    let at = new.at.as_deref();
    let what = Publication { list, template, key: &new.key, data, not_before: at, filter };
    session
        .call(STEP, |client| issue::publish(client, &what))
        .map_err(may_publish)?
        .map_err(refused)?;
    status(session, Some(&new.key))
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
    let found = session.call(STEP, |client| issue::issues(client, key)).map_err(may_publish)?;
    match (found.is_empty(), key) {
        (true, Some(key)) => Err(unknown(key)),
        (true, None) => page("no issue is under way\n"),
        _ => page(&found.iter().map(shown).collect::<String>()),
    }
}

/// Draws how far an issue has come, over what was drawn before, until nothing of it is to go.
fn follow(session: &mut Session, key: &str, stop: &Stop) -> Result<(), Error> {
    signal::install(stop, 0).map_err(|why| Error::new(Kind::Bug, why))?;
    let mut over = String::new();
    loop {
        let found = session.call(STEP, |client| issue::issues(client, Some(key)));
        let found = found.map_err(may_publish)?;
        let one = found.first().ok_or_else(|| unknown(key))?;
        let text = shown(one);
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
    let changed = session.call(STEP, |client| issue::change(client, key, how));
    let changed = changed.map_err(may_publish)?;
    let found = session.call(STEP, |client| issue::issues(client, Some(key)));
    let found = found.map_err(may_publish)?;
    let one = found.first().ok_or_else(|| unknown(key))?;
    if !changed {
        print(&format!("nothing changed: it is {}\n", one.state))?;
    }
    page(&shown(one))
}
