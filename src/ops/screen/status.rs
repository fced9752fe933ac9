//! The screen of `mailroom status`.

use crate::mail::policy::Wait;
use crate::ops::screen::page::{Look, Page, Tone, clean, span};
use crate::queue::snapshot::{Listener, Movement, Pause, Reason, Snapshot};
use std::fmt::Write as _;
use std::time::Duration;

/// Lines of the chart.
const CHART: i64 = 4;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The screen of `mailroom status`. Something is late when it has been due for `max_age`.
pub fn status(found: &Snapshot, look: Look, max_age: Duration) -> String {
    let mut page = Page::new(look);
    let name = format!("mailroom, queue {}", clean(&found.queue));
    let gap = page.look.width.saturating_sub(name.chars().count());
    let time = if gap > found.time.len() { found.time.as_str() } else { "" };
    page.line(Tone::Quiet, &format!("{name}{time:>gap$}"));
    let (tone, headline) = headline(found, max_age);
    page.line(tone, &headline);
    for finding in &found.findings {
        page.line(Tone::Attention, &format!("{}: {}", finding.subject, clean(&finding.detail)));
    }
    page.line(Tone::Plain, "");
    let row = |name: &str, count: i64, more: String| format!("{count:>10}  {name:<8} {more}");
    let due = format!("{} due, {} tried before", found.due, found.retrying);
    page.line(Tone::Plain, &row("pending", found.pending, due));
    page.line(Tone::Plain, &row("leased", found.leased, "on their way".to_owned()));
    let sent =
        format!("{} in the last hour, {} in a day", found.sent_last_hour(), found.sent_last_24h);
    page.line(Tone::Plain, &row("sent", found.sent, sent));
    let dropped = match found.dropped {
        0 => String::new(),
        some => format!("and {some} dropped"),
    };
    let tone = if found.failed > 0 { Tone::Attention } else { Tone::Plain };
    page.line(tone, &row("failed", found.failed, dropped));
    let superseded = match found.superseded {
        0 => String::new(),
        some => format!("and {some} superseded"),
    };
    page.line(Tone::Plain, &row("expired", found.expired, superseded));
    if let Some(age) = found.oldest_pending {
        let due = found.oldest_due.map(|age| format!(", due for {}", span(age)));
        let text = format!("the oldest has waited {}{}", span(age), due.unwrap_or_default());
        page.line(Tone::Plain, &format!("{:>10}  {text}", ""));
    }
    kinds(&mut page, found);
    chart(&mut page, &found.sent_by_five_minutes);
    reasons(&mut page, "held by the provider or its settings", found.waiting_for(Wait::Held));
    reasons(&mut page, "put off, for the provider takes none now", found.waiting_for(Wait::PutOff));
    reasons(&mut page, "waiting for a change in the database", found.waiting_for(Wait::Change));
    reasons(&mut page, "failed", found.failures.iter());
    listeners(&mut page, &found.listeners);
    page.text
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

/// A heading over reasons, by cause; nothing if there are none.
fn reasons<'a>(page: &mut Page, title: &str, found: impl Iterator<Item = &'a Reason>) {
    for (number, reason) in found.enumerate() {
        if number == 0 {
            page.line(Tone::Plain, "");
            page.line(Tone::Plain, title);
        }
        let cause = reason.cause.map(|cause| format!("{}: ", cause.name())).unwrap_or_default();
        page.line(Tone::Plain, &format!("{:>10}  {cause}{}", reason.count, clean(&reason.text)));
    }
}

/// What there is of each kind; nothing if there is nothing.
fn kinds(page: &mut Page, found: &Snapshot) {
    if found.kinds.is_empty() {
        return;
    }
    page.line(Tone::Plain, "");
    page.line(Tone::Quiet, "   pending    leased    failed  kind");
    for (kind, of) in &found.kinds {
        let counts = format!("{:>10}{:>10}{:>10}", of.pending, of.leased, of.failed);
        page.line(Tone::Plain, &format!("{counts}  {}", clean(kind)));
    }
}

/// The last hour, a column for five minutes.
fn chart(page: &mut Page, sent: &[i64]) {
    let Some(most) = sent.iter().copied().max().filter(|most| *most > 0) else { return };
    page.line(Tone::Plain, "");
    page.line(Tone::Plain, "sent in the last hour, by five minutes");
    let scale = most.to_string().len().max(4);
    let column = ((page.look.width - scale - 3) / sent.len()).clamp(2, 6);
    for row in (0..CHART).rev() {
        let mark = match row {
            row if row == CHART - 1 => most.to_string(),
            0 => "0".to_owned(),
            _ => String::new(),
        };
        let mut line = format!("{mark:>scale$} │");
        for count in sent {
            // Something is never nothing: one eighth at least.
            let eighths = (count * CHART * 8 / most).max(i64::from(*count > 0));
            let bar = usize::try_from((eighths - row * 8).clamp(0, 8)).unwrap_or(0);
            line.extend(std::iter::repeat_n(EIGHTHS[bar], column - 1));
            line.push(' ');
        }
        page.line(Tone::Plain, &line);
    }
    let end = (column * sent.len()).saturating_sub("-60 min".len() + 1);
    page.line(Tone::Quiet, &format!("{:>scale$}  -60 min{:>end$}", "", "now"));
}

fn listeners(page: &mut Page, found: &[Listener]) {
    page.line(Tone::Plain, "");
    if found.is_empty() {
        return page.line(Tone::Bad, "nobody listens");
    }
    page.line(Tone::Plain, "listening");
    for one in found {
        let mut text = format!("{:>10}  {} as {}", one.pid, clean(&one.name), clean(&one.role));
        if !one.address.is_empty() {
            let _ = write!(text, " from {}", one.address);
        }
        if let Some(seconds) = one.seconds {
            let _ = write!(text, ", for {}", span(seconds));
        }
        page.line(Tone::Plain, &text);
    }
}
