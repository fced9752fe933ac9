//! What a queue and its deliveries look like to people, as text of a given width.
//!
//! In scope: layout, colours, units. Out of scope: finding anything out, and asking the terminal.
//! What comes from outside is shown without its control characters: it must not move the cursor.

mod checks;

pub use checks::checks;
use checks::wrapped;

use crate::queue::snapshot::{Entry, Listener, Snapshot, WAITS};
use crate::queue::store::{HELD, PUT_OFF};
use std::fmt::Write as _;
use std::time::Duration;

/// What is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns; no line is longer.
    pub width: usize,
    /// Whether colours are understood and wanted.
    pub colour: bool,
}

/// Few columns, in which the numbers still fit. On fewer, lines are cut.
const NARROWEST: usize = 40;
/// Lines of the chart.
const CHART: i64 = 4;
/// Reasons that are shown.
const REASONS: usize = 6;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Good,
    Attention,
    Bad,
    Quiet,
    Plain,
}

struct Page {
    look: Look,
    /// Where a line is cut.
    edge: usize,
    text: String,
}

impl Page {
    fn new(look: Look) -> Page {
        let edge = look.width.max(1);
        Page { look: Look { width: edge.max(NARROWEST), ..look }, edge, text: String::new() }
    }

    /// A line, cut to the width.
    fn line(&mut self, tone: Tone, text: &str) {
        let text = cut(text.trim_end(), self.edge);
        self.whole(tone, &text);
    }

    /// A line as long as it is.
    fn whole(&mut self, tone: Tone, text: &str) {
        let text = text.trim_end();
        let code = match tone {
            Tone::Good => "1;32",
            Tone::Attention => "1;33",
            Tone::Bad => "1;31",
            Tone::Quiet => "2",
            Tone::Plain => "",
        };
        if self.look.colour && !code.is_empty() && !text.is_empty() {
            let _ = writeln!(self.text, "\u{1b}[{code}m{text}\u{1b}[0m");
        } else {
            let _ = writeln!(self.text, "{text}");
        }
    }

    /// A heading over reasons and how many deliveries each stands for; nothing if there are none.
    fn reasons<'a>(&mut self, title: &str, found: impl Iterator<Item = (&'a str, i64)>) {
        let found: Vec<(&str, i64)> = found.collect();
        if found.is_empty() {
            return;
        }
        self.line(Tone::Plain, "");
        self.line(Tone::Plain, title);
        for (reason, count) in found.iter().take(REASONS) {
            self.line(Tone::Plain, &format!("{count:>10}  {}", clean(reason)));
        }
        let rest: i64 = found.iter().skip(REASONS).map(|(_, count)| count).sum();
        if rest > 0 {
            let more = counted(found.len() - REASONS, "other reason");
            self.line(Tone::Quiet, &format!("{rest:>10}  for {more}"));
        }
    }
}

/// The screen of `mailroom status`. Something is late when it has been due for `max_age`.
pub fn status(found: &Snapshot, look: Look, max_age: Duration) -> String {
    let mut page = Page::new(look);
    let name = format!("mailroom, queue {}", clean(&found.queue));
    let gap = page.look.width.saturating_sub(name.chars().count());
    let time = if gap > found.time.len() { found.time.as_str() } else { "" };
    page.line(Tone::Quiet, &format!("{name}{time:>gap$}"));
    let (tone, headline) = headline(found, max_age);
    page.line(tone, &headline);
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
    page.line(Tone::Plain, &row("expired", found.expired, String::new()));
    if let Some(age) = found.oldest_pending {
        let due = found.oldest_due.map(|age| format!(", due for {}", span(age)));
        let text = format!("the oldest has waited {}{}", span(age), due.unwrap_or_default());
        page.line(Tone::Plain, &format!("{:>10}  {text}", ""));
    }
    chart(&mut page, &found.sent_by_five_minutes);
    page.reasons("held by the provider or its settings", found.waiting_for(HELD));
    page.reasons("put off, for the provider takes none now", found.waiting_for(PUT_OFF));
    page.reasons("waiting for a change in the database", found.waiting_for(WAITS));
    page.reasons("failed", found.failures.iter().map(|r| (r.text.as_str(), r.count)));
    listeners(&mut page, &found.listeners);
    page.text
}

/// Whether mail moves, in one line.
fn headline(found: &Snapshot, max_age: Duration) -> (Tone, String) {
    if let Some(pause) = &found.pause {
        let why = if pause.reason.is_empty() { "" } else { ": " };
        let text = format!("PAUSED for {}{why}{}", span(pause.seconds), clean(&pause.reason));
        return (Tone::Attention, text);
    }
    if found.listeners.is_empty() {
        return (Tone::Bad, "STOPPED: nobody listens; start mailroom run or collect".to_owned());
    }
    if found.is_late(max_age) {
        let age = span(found.oldest_due.unwrap_or_default());
        return (Tone::Bad, format!("STUCK: mail has been due for {age}"));
    }
    if let Some((reason, count)) = found.waiting_for(HELD).next() {
        return (Tone::Attention, format!("HELD: {count} by {}", clean(reason)));
    }
    if let Some((reason, count)) = found.waiting_for(PUT_OFF).next() {
        return (Tone::Attention, format!("PUT OFF: {count} by {}", clean(reason)));
    }
    if found.failed > 0 {
        return (Tone::Attention, format!("MOVING, but {} failed", found.failed));
    }
    match found.due + found.leased {
        0 => (Tone::Good, "IDLE: nothing is due".to_owned()),
        some => (Tone::Good, format!("MOVING: {some} due or on their way")),
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

/// The table of `mailroom queue list`.
pub fn list(found: &[Entry], look: Look) -> String {
    let mut page = Page::new(look);
    let mut rows = vec![
        ["ID", "STATE", "TRIES", "WHEN", "MAIL", "ADDRESS", "REASON OR ID"].map(str::to_owned),
    ];
    rows.extend(found.iter().map(|one| {
        let reason = if one.error.is_empty() { &one.provider_id } else { &one.error };
        let texts = [&one.state, &one.action, &one.address, reason].map(|text| clean(text));
        let [state, action, address, reason] = texts;
        let id = one.id.to_string();
        [id, state, one.attempts.to_string(), when(one), action, address, reason]
    }));
    let longest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..7).map(|column| longest(column).unwrap_or(0)).collect();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{text:<width$}  ");
        }
        page.line(if number == 0 { Tone::Quiet } else { Tone::Plain }, &line);
    }
    page.text
}

/// A text of any length, in lines of the width.
pub fn note(text: &str, look: Look) -> String {
    let width = look.width.max(NARROWEST);
    text.lines().flat_map(|line| wrapped(&clean(line), width)).map(|line| line + "\n").collect()
}

/// A screen drawn over the one before it, on a terminal of so many rows.
///
/// A terminal that scrolls cannot be drawn on again: what has no row is counted in the last one,
/// and a line that is too long for its row (DECAWM is off) does not go on in the next.
/// <https://invisible-island.net/xterm/ctlseqs/ctlseqs.html>
pub fn redrawn(text: &str, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() <= rows { lines.len() } else { rows.saturating_sub(1) };
    // Erased first: behind a full line the cursor would stand on its last character.
    let mut drawn: Vec<String> =
        lines[..shown].iter().map(|line| format!("\u{1b}[K{line}")).collect();
    if shown < lines.len() {
        drawn.push(format!("\u{1b}[K… {}", counted(lines.len() - shown, "more line")));
    }
    let end = if drawn.len() < rows { "\n" } else { "" };
    format!("\u{1b}[?7l\u{1b}[H{}{end}\u{1b}[J\u{1b}[?7h", drawn.join("\n"))
}

/// When it is its turn, or was.
fn when(one: &Entry) -> String {
    match (one.state.as_str(), one.settled) {
        (_, Some(ago)) => format!("{} ago", span(ago)),
        // Somebody wrote infinity there.
        _ if one.due == f64::NEG_INFINITY => "never".to_owned(),
        ("leased", _) if one.due < 0.0 => format!("lease {}", span(-one.due)),
        ("leased", _) => format!("lease over {}", span(one.due)),
        _ if one.due < 0.0 => format!("in {}", span(-one.due)),
        _ => format!("due {}", span(one.due)),
    }
}

/// Everything about one delivery: `mailroom queue show`.
pub fn show(one: &Entry) -> String {
    let token = match one.expires {
        _ if one.consumed => "used".to_owned(),
        ago if ago >= 0.0 => format!("expired {} ago", span(ago)),
        until => format!("expires in {}", span(-until)),
    };
    let mut rows = vec![
        ("delivery", one.id.to_string()),
        ("queue", one.queue.clone()),
        ("state", format!("{} ({})", one.state, when(one))),
        ("mail", format!("{}, priority {}", one.action, one.priority)),
        ("address", one.address.clone()),
        ("account", format!("{}, {}", one.account, one.status)),
        ("token", token),
        ("tries", one.attempts.to_string()),
        ("made", format!("{} ago", span(one.created))),
    ];
    rows.extend(one.login.clone().map(|login| ("login", login)));
    let optional =
        [("reason", &one.error), ("lease", &one.lease), ("provider id", &one.provider_id)];
    rows.extend(optional.map(|(name, text)| (name, text.clone())));
    let mut out = String::new();
    for (name, text) in rows.iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(out, "{name:<12} {}", clean(text));
    }
    out
}

/// A length of time in the two largest units that say something.
pub fn span(seconds: f64) -> String {
    if seconds == f64::INFINITY {
        return "for ever".to_owned();
    }
    // Saturates, as is right here.
    let seconds = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) if minutes < 10 => format!("{minutes} min {} s", seconds % 60),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Text from outside, on one line and without what a terminal would obey.
pub fn clean(text: &str) -> String {
    let harmless = |c: char| {
        let obeyed =
            c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if obeyed { '\u{b7}' } else { c }
    };
    text.chars().map(harmless).collect()
}

/// `1 warning`, `2 warnings`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(width - 1).collect();
            format!("{}…", kept.trim_end())
        }
    }
}
