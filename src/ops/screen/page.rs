//! A page of text: its width, its colours, and the words that all screens share.
//!
//! What comes from outside is shown without its control characters: it must not move the cursor.

use std::fmt::Write as _;

/// What is written on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns; no line is longer.
    pub width: usize,
    /// Whether colours are understood and wanted.
    pub colour: bool,
}

/// Few columns, in which the numbers still fit. On fewer, lines are cut.
pub const NARROWEST: usize = 40;

/// What a line is about, from which its colour follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// A person may want to look.
    Attention,
    /// A person must look.
    Bad,
    /// Of little weight.
    Quiet,
    /// All else.
    #[default]
    Plain,
}

/// A page that is written from top to bottom.
pub struct Page {
    /// What it is written on; at least [`NARROWEST`] wide.
    pub look: Look,
    /// Where a line is cut.
    edge: usize,
    /// What was written.
    pub text: String,
}

impl Page {
    /// An empty page.
    pub fn new(look: Look) -> Page {
        let edge = look.width.max(1);
        Page { look: Look { width: edge.max(NARROWEST), ..look }, edge, text: String::new() }
    }

    /// A line, cut to the width.
    pub fn line(&mut self, tone: Tone, text: &str) {
        let text = cut(text.trim_end(), self.edge);
        self.whole(tone, &text);
    }

    /// A line as long as it is.
    pub fn whole(&mut self, tone: Tone, text: &str) {
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

/// A length of time in the two largest units that say something.
pub fn span(seconds: f64) -> String {
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

/// How much of something is done, in so many columns and a percentage.
pub fn bar(done: u64, of: u64, width: u64) -> String {
    let done = done.min(of);
    let part = |whole: u64| {
        if of == 0 { whole } else { (u128::from(done) * u128::from(whole) / u128::from(of)) as u64 }
    };
    let full = part(width) as usize;
    format!("[{}{}] {} %", "#".repeat(full), "-".repeat(width as usize - full), part(100))
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
pub fn counted(count: usize, what: &str) -> String {
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

/// Text in lines of at most `width` columns, broken between words. A word that is longer than a
/// line stays whole: it may have to be copied.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
