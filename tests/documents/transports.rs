//! docs/TRANSPORTS.md: what the answers of each provider lead to, row by row.

use super::{read, section};
use mailroom::edges::smtp::session::{Fault, Stage};
use mailroom::mail::model::Cause;
use mailroom::mail::policy;
use mailroom::mail::policy::{Fate, Speed};
use mailroom::send::postmark::causes as postmark;
use mailroom::send::reply::Ruling;
use mailroom::send::ses::causes as ses;
use mailroom::send::smtp::causes as smtp;
use std::collections::BTreeSet;

/// The cells of each row of the table with this head.
fn rows(document: &str, head: &str) -> Vec<Vec<String>> {
    let table = document.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect());
    let rows: Vec<Vec<String>> = rows.collect();
    assert!(!rows.is_empty(), "there is no table {head:?}");
    rows
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The cause that a cell begins with.
fn cause(cell: &str) -> Cause {
    let name = cell.strip_prefix('`').and_then(|rest| rest.split('`').next()).unwrap_or(cell);
    Cause::named(name).unwrap_or_else(|| panic!("{cell:?} begins with no cause"))
}

/// The numbers in a cell; of `a to b` the ends.
fn numbers(cell: &str) -> Vec<u16> {
    let words = cell.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

/// The names in a table of the program are those in a table of the document, each with its cause.
fn same<T: Copy>(table: &[(T, &str)], document: &[Vec<String>], is: impl Fn(T, &str) -> bool) {
    let mut written = BTreeSet::new();
    for row in document {
        written.extend(quoted(&row[0]).into_iter().map(|name| (name, row[1].as_str())));
    }
    for (value, names) in table {
        for name in names.split(", ") {
            let found = |(written, cell): &&(&str, &str)| {
                written.trim_end_matches("Exception") == name && is(*value, cell)
            };
            assert!(written.iter().any(|row| found(&row)), "{name} is not in the document so");
        }
    }
    let known = |name: &str| table.iter().any(|(_, names)| names.split(", ").any(|n| n == name));
    for (name, cell) in written {
        let known = known(name.trim_end_matches("Exception"));
        assert!(known || cell.starts_with("accepted"), "the program does not know {name}");
    }
}

#[test]
fn the_table_of_causes_is_the_policy() {
    let document = section(&read("docs/TRANSPORTS.md"), "Causes");
    let written: Vec<String> =
        rows(&document, "| cause |").iter().map(|row| row.join(" | ")).collect();
    let row = |cause: Cause| {
        let policy = policy::of(cause);
        let fate = match policy.fate {
            Fate::Retry if !policy.patience.is_zero() => "tried again, for 4 days at least",
            Fate::Retry => "tried again, uses an attempt",
            Fate::Wait => "tried again, uses no attempt",
            Fate::HoldAll => "held",
            Fate::HoldKind => "held, with its kind",
            Fate::Fail => "failed",
        };
        assert!([0, 4 * 86_400].contains(&policy.patience.as_secs()));
        let least = match policy.least {
            0 => String::new(),
            seconds => format!(", after {seconds} s at the earliest"),
        };
        let ambiguous = if policy.ambiguous { "; `ambiguous`: it may have been sent" } else { "" };
        let rest = match policy.rest {
            None => "is tried".to_owned(),
            Some(rest) if rest == cause => "is not tried".to_owned(),
            Some(rest) => format!("is not tried, `{}`", rest.name()),
        };
        let speed = match policy.speed {
            Speed::Same => "goes on",
            Speed::Slower => {
                "at the rate that is found to go through; a pause that is asked for is kept"
            }
            Speed::Pause => "pauses",
            Speed::Probes if policy.fate == Fate::HoldKind => "goes on, but for its kind",
            Speed::Probes => "is held",
        };
        format!("`{}` | {fate}{least}{ambiguous} | {rest} | {speed}", cause.name())
    };
    // Those after these are the queue's own.
    let causes = Cause::all().take_while(|cause| *cause != Cause::Unsigned);
    let wanted: Vec<String> = causes.map(row).collect();
    assert!(written == wanted, "the table should be:\n| {} |", wanted.join(" |\n| "));
}

#[test]
fn the_answers_of_ses_have_the_causes_that_the_tables_say() {
    let document = section(&read("docs/TRANSPORTS.md"), "SES");
    same(&ses::STATUSES, &rows(&document, "| status of a message"), |known, cell| {
        known == cause(cell)
    });
    same(&ses::CODES, &rows(&document, "| error code of a call"), |ruling, cell| match ruling {
        Ruling::Each(known) => known == cause(cell),
        Ruling::Halves => cell.starts_with("halves are tried"),
        Ruling::NewCredentials => cell.starts_with("once more with new credentials"),
        Ruling::ItsClock => cell.starts_with("once more by the clock"),
    });
    for row in rows(&document, "| status of a call") {
        for status in numbers(&row[0]) {
            match ses::call(status, "", "", "", &[]) {
                Ruling::Each(known) => assert_eq!(known, cause(&row[1]), "{status}"),
                other => assert!(row[1].starts_with("halves"), "{status}: {other:?}"),
            }
        }
    }
    assert_eq!(ses::call(500, "", "", "", &[]), Ruling::Each(Cause::Fault));
}

#[test]
fn the_answers_of_smtp_have_the_causes_that_the_tables_say() {
    let document = section(&read("docs/TRANSPORTS.md"), "SMTP");
    let (codes, words) = (rows(&document, "| enhanced code"), rows(&document, "| words"));
    for row in codes.iter().chain(&words) {
        assert!(row.len() == 3 && !row[2].is_empty(), "who says so? {row:?}");
    }
    same(&smtp::ENHANCED, &codes, |known, cell| known == cause(cell));
    let words: Vec<_> = words.into_iter().filter(|row| row[0].starts_with('`')).collect();
    same(&smtp::WORDS, &words, |known, cell| known == cause(cell));
    let stages = [
        ("greeting", Stage::Greeting),
        ("EHLO", Stage::Hello),
        ("STARTTLS", Stage::Encryption),
        ("AUTH", Stage::Login),
        ("MAIL", Stage::Sender),
        ("RCPT", Stage::Recipient),
        ("DATA", Stage::Data),
        ("final dot", Stage::Dot),
    ];
    let mut seen = 0;
    for row in rows(&document, "| step") {
        for name in row[0].split(", ") {
            let (_, stage) = stages.iter().find(|(known, _)| *known == name).unwrap();
            for answer in row[1].split(", ") {
                let fault = match answer.replace("xx", "51").parse() {
                    Ok(code) => Fault::Refused(*stage, code, String::new()),
                    Err(_) => Fault::Lost(*stage, String::new()),
                };
                let known = smtp::cause(&fault, "a@example.com", "b@example.com");
                assert_eq!(known, cause(&row[2]), "{name}, {answer}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8 * 3, "each step, 4xx, 5xx and no answer: {seen}");
}

#[test]
fn the_error_codes_of_postmark_have_the_causes_that_the_table_says() {
    let document = section(&read("docs/TRANSPORTS.md"), "Postmark");
    for row in rows(&document, "| error code") {
        for code in numbers(&row[0]) {
            match postmark::message(code.into(), "") {
                None => assert!(row[1].starts_with("accepted")),
                Some(known) => assert_eq!(known, cause(&row[1]), "{code}"),
            }
        }
    }
    assert_eq!(postmark::message(9999, ""), Some(Cause::Fault));
}
