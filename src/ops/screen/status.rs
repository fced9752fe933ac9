//! What `mailroom status` has to say.

use crate::lists::members::COUNTED;
use crate::mail::model::Cause;
use crate::mail::policy::Wait;
use crate::ops::screen::page::{Tone, clean, span};
use crate::ops::screen::report::{Report, Row, Section};
use crate::queue::snapshot::{KindCounts, Listener, Movement, Pause, Reason, Snapshot};
use crate::queue::status::LATEST;
use std::fmt::Write as _;
use std::time::Duration;

/// The state of a queue. Something is late when it has been due for `max_age`.
pub fn report(found: &Snapshot, max_age: Duration) -> Report {
    let mut lines = vec![headline(found, max_age)];
    lines.extend(found.findings.iter().map(|finding| {
        (Tone::Attention, format!("{}: {}", finding.subject, clean(&finding.detail)))
    }));
    let latest = |is_cut| if is_cut { format!(" (of the latest {LATEST})") } else { String::new() };
    let failed = |place: &str| format!("failed {place}{}", latest(found.failed > LATEST));
    let asked = format!("asked for most in the last hour{}", latest(found.hour_is_cut));
    let held = |ours| found.waiting_for(Wait::Held).filter(move |one| one.is_ours() == ours);
    let failures = |ours| found.failures.iter().filter(move |one| one.is_ours() == ours);
    let sent = found.sent_by_five_minutes.clone();
    let title = |text: &str| (Tone::Plain, text.to_owned());
    let mut sections = vec![
        counts(found),
        Section {
            columns: &["pending", "leased", "failed", "kind"],
            rows: kinds(found),
            ..Section::default()
        },
        Section {
            title: title("sent in the last hour, by five minutes"),
            chart: if found.sent_last_hour() > 0 { sent } else { Vec::new() },
            ..Section::default()
        },
        reasons("held by a setting or a template of ours", held(true)),
        reasons("held by the provider", held(false)),
        reasons("put off, for the provider takes none now", found.waiting_for(Wait::PutOff)),
        reasons("waiting for a change here", found.waiting_for(Wait::Change)),
        reasons(&failed("here, before any provider"), failures(true)),
        reasons(&failed("at the provider"), failures(false)),
        Section::new(&asked, recipients(found)),
        Section::new("issues under way, and how many of them are to go", issues(found)),
        Section::new("confirmed subscribers of lists", lists(found)),
    ];
    sections.retain(|section| !section.rows.is_empty() || !section.chart.is_empty());
    sections.push(match found.listeners.is_empty() {
        true => Section { title: (Tone::Bad, "nobody listens".to_owned()), ..Section::default() },
        false => Section::new("listening", found.listeners.iter().map(listener)),
    });
    Report { name: name(&found.queue), time: found.time.clone(), lines, sections }
}

/// That nothing is known of a queue, and why.
pub fn away(queue: &str, why: &str) -> Report {
    let line = (Tone::Bad, format!("the database cannot be asked: {}", clean(why)));
    Report { name: name(queue), lines: vec![line], ..Report::default() }
}

fn name(queue: &str) -> String {
    format!("mailroom, queue {}", clean(queue))
}

/// Whether mail moves, in one line.
fn headline(found: &Snapshot, max_age: Duration) -> (Tone, String) {
    let many = |word: &str, reason: &Reason| {
        (Tone::Attention, format!("{word}: {} by {}", reason.count, clean(&reason.text)))
    };
    let paused = |pause: &Pause| {
        let why = if pause.reason.is_empty() { "" } else { ": " };
        format!("PAUSED for {}{why}{}", span(pause.seconds), clean(&pause.reason))
    };
    match found.movement(max_age) {
        Movement::Stopped(pause) => {
            let more = pause.map_or("start mailroom run or collect".to_owned(), paused);
            (Tone::Bad, format!("STOPPED: nobody listens; {more}"))
        }
        Movement::Paused(pause) => (Tone::Attention, paused(pause)),
        Movement::Stuck(age) => (Tone::Bad, format!("STUCK: mail has been due for {}", span(age))),
        Movement::Held(reason) => many("HELD", reason),
        Movement::PutOff(reason) => many("PUT OFF", reason),
        _ if found.failed > 0 => (Tone::Attention, format!("MOVING, but {} failed", found.failed)),
        Movement::Idle => (Tone::Good, "IDLE: nothing is due".to_owned()),
        Movement::Moving => {
            let some = found.due + found.leased;
            (Tone::Good, format!("MOVING: {some} due or on their way"))
        }
    }
}

/// How many deliveries are in which state.
fn counts(found: &Snapshot) -> Section {
    let some = |count: i64, what: &str| match count {
        0 => String::new(),
        count => format!("and {count} {what}"),
    };
    let sent =
        format!("{} in the last hour, {} in a day", found.sent_last_hour(), found.sent_last_24h);
    let ended = [some(found.superseded, "superseded"), some(found.ineligible, "not eligible")];
    let rows = [
        (found.pending, "pending", format!("{} due, {} tried before", found.due, found.retrying)),
        (found.leased, "leased", "on their way".to_owned()),
        (found.sent, "sent", sent),
        (found.failed, "failed", some(found.dropped, "dropped")),
        (found.expired, "expired", ended.join(" ")),
    ];
    let rows = rows.into_iter().map(|(count, state, more)| (count, format!("{state:<8} {more}")));
    let mut section = Section::new("", rows);
    if found.failed > 0 {
        section.rows[3].tone = Tone::Attention;
    }
    if let Some(age) = found.oldest_pending {
        let due = found.oldest_due.map(|age| format!(", due for {}", span(age)));
        let text = format!("the oldest has waited {}{}", span(age), due.unwrap_or_default());
        section.rows.push(Row { tone: Tone::Plain, numbers: Vec::new(), text });
    }
    section
}

/// What there is of each kind.
fn kinds(found: &Snapshot) -> Vec<Row> {
    let row = |(kind, of): (&String, &KindCounts)| Row {
        tone: Tone::Plain,
        numbers: vec![of.pending, of.leased, of.failed],
        text: clean(kind),
    };
    found.kinds.iter().map(row).collect()
}

/// Reasons, by cause.
fn reasons<'a>(title: &str, found: impl Iterator<Item = &'a Reason>) -> Section {
    Section::new(
        title,
        found.map(|reason| {
            let parts = [reason.cause.map_or("", Cause::name), &clean(&reason.text)];
            (reason.count, parts.join(": ").trim_matches([':', ' ']).to_owned())
        }),
    )
}

/// Who may be flooded.
fn recipients(found: &Snapshot) -> impl Iterator<Item = (i64, String)> {
    let more = (found.more_recipients > 0)
        .then(|| (found.more_recipients, "more such recipients".to_owned()));
    let rows = found.recipients.iter().map(|one| {
        let became = [(one.sent, "sent"), (one.superseded, "superseded"), (one.limited, "limited")];
        let became = became.iter().filter(|(count, _)| *count > 0);
        let became: Vec<String> = became.map(|(count, what)| format!("{count} {what}")).collect();
        let (address, latest) = (clean(&one.address), one.latest);
        let between = if became.is_empty() { "" } else { "; " };
        (one.asked, format!("{address}: {}{between}latest {latest}", became.join(", ")))
    });
    rows.chain(more)
}

/// What is published and not all sent.
fn issues(found: &Snapshot) -> impl Iterator<Item = (i64, String)> {
    found.issues.iter().map(|(key, left, what)| (*left, format!("{}: {}", clean(key), clean(what))))
}

/// Who an issue would go to; many are not counted to the end.
fn lists(found: &Snapshot) -> impl Iterator<Item = (i64, String)> {
    let more = |count| if count >= COUNTED { " or more" } else { "" };
    found.lists.iter().map(move |(list, count)| (*count, format!("{list}{}", more(*count))))
}

fn listener(one: &Listener) -> (i64, String) {
    let mut text = format!("{} as {}", clean(&one.name), clean(&one.role));
    if !one.address.is_empty() {
        let _ = write!(text, " from {}", one.address);
    }
    if let Some(seconds) = one.seconds {
        let _ = write!(text, ", for {}", span(seconds));
    }
    (i64::from(one.pid), text)
}
