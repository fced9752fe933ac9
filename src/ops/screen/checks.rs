//! The screen of `mailroom check`. Unlike a table it is never cut: advice that is not read whole
//! is none.

use crate::ops::check::{Check, Checks, Status};
use crate::ops::screen::page::{Look, NARROWEST, Page, Tone, clean, counted, wrapped};

/// Columns before the text of a check: its status and its name.
const MARGIN: usize = 29;

/// A line a check, with what to do below it, and a line that counts.
pub fn checks(found: &Checks, look: Look) -> String {
    let mut page = Page::new(look);
    for check in found.iter() {
        one(&mut page, check);
    }
    let (failed, warnings) = (found.count("failed"), found.count("warning"));
    let (tone, text) = match (failed, warnings) {
        (0, 0) => (Tone::Good, "all is well".to_owned()),
        (0, some) => (Tone::Attention, format!("nothing failed; {}", counted(some, "warning"))),
        (some, 0) => (Tone::Bad, format!("{some} failed")),
        (some, more) => (Tone::Bad, format!("{some} failed; {}", counted(more, "warning"))),
    };
    page.line(Tone::Plain, "");
    page.line(tone, &text);
    page.text
}

fn one(page: &mut Page, check: &Check) {
    let tone = match check.status {
        Status::Ok => Tone::Plain,
        Status::Warning => Tone::Attention,
        Status::Unreachable | Status::Misconfigured => Tone::Bad,
    };
    let wide = page.look.width > MARGIN + NARROWEST;
    let margin = if wide { MARGIN } else { 4 };
    let width = page.look.width - margin;
    let mut lines = check.detail.lines().flat_map(|text| wrapped(&clean(text), width));
    // A long name moves the first line; the next ones stand in their column.
    let first = if wide { lines.next().unwrap_or_default() } else { String::new() };
    page.whole(tone, &format!("{:<9}{:<19} {first}", check.status.word(), clean(&check.name)));
    for line in lines {
        page.whole(tone, &format!("{:margin$}{line}", ""));
    }
    let mut mark = "->";
    for line in wrapped(&check.advice, width - 3) {
        page.whole(Tone::Plain, &format!("{:margin$}{mark:<3}{line}", ""));
        mark = "";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Checks {
        let mut found = Checks::default();
        found.ok("database", "host=/run dbname=mailroom");
        found.misconfigured("grants", "UPDATE on jobs, SELECT on \u{1b}[31mtokens", "grant them");
        found
    }

    #[test]
    fn each_check_has_its_line_and_advice_stands_below() {
        let text = checks(&found(), Look { width: 80, colour: false });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ok       database            host=/run dbname=mailroom");
        assert_eq!(
            lines[1],
            "failed   grants              UPDATE on jobs, SELECT on \u{b7}[31mtokens"
        );
        assert_eq!(lines[2].trim(), "-> grant them");
        assert_eq!(lines[4], "1 failed");
    }

    #[test]
    fn a_narrow_screen_breaks_lines_and_loses_no_word() {
        let mut found = Checks::default();
        let detail = "one two three four five six seven eight nine ten eleven twelve";
        found.warning("templates", detail, "read all of it before you change anything here");
        let text = checks(&found, Look { width: 40, colour: false });
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(detail), "{text}");
    }

    #[test]
    fn colour_is_for_what_needs_a_look() {
        let text = checks(&found(), Look { width: 80, colour: true });
        assert!(text.contains("\u{1b}[1;31mfailed"), "{text}");
        assert!(text.starts_with("ok "), "{text}");
    }
}
