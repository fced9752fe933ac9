//! docs/TRANSPORTS.md: what the answers of SES lead to.

use super::{read, root, section};
use mailroom::mail::model::{Cause, Outcome};
use mailroom::mail::policy;
use mailroom::mail::policy::{CallVerdict, ErrorReply, Fate, Remedies};
use mailroom::send::ses::causes as ses;
use std::collections::BTreeSet;

/// The rows of the table with this head: what stands in backquotes in the first column, and the second.
fn rows(document: &str, head: &str) -> Vec<(Vec<String>, String)> {
    let table = document.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let names = cells[0].split('`').skip(1).step_by(2).map(str::to_owned);
        (names.collect(), cells[1].to_owned())
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "there is no table {head:?}");
    rows
}

fn words(cause: Cause) -> &'static str {
    match policy::of(cause).fate {
        Fate::Fail => "never",
        Fate::HoldAll => "hold all",
        Fate::HoldKind => "hold that action",
        Fate::Wait => "again, no attempt used, everything slows",
        Fate::Retry => "again",
    }
}

#[test]
fn the_answers_of_ses_lead_to_what_the_tables_say() {
    let document = section(&read("docs/TRANSPORTS.md"), "SES");
    let mut told = BTreeSet::new();
    for (names, outcome) in rows(&document, "| status of a message") {
        for name in names {
            let words = match ses::entry(&name, "because", "id") {
                Outcome::Accepted { .. } => "accepted",
                Outcome::Refused(refusal) => words(refusal.cause),
            };
            assert!(outcome.split([';']).next().unwrap().starts_with(words), "{name}: {words}");
            assert!(words != "again" || !outcome.contains("no attempt"), "{name}: {words}");
            told.insert(name);
        }
    }
    for (names, outcome) in rows(&document, "| error code of a call") {
        for name in names {
            let mut refusal =
                ErrorReply { status: 400, code: name.clone(), ..ErrorReply::default() };
            let said = match ses::call(&refusal, Remedies::default()) {
                CallVerdict::Each(refusal) => {
                    words(refusal.cause).replace("again,", "again after `Retry-After`,")
                }
                CallVerdict::Split(_) => "halves are tried".to_owned(),
                CallVerdict::RefreshCredentials(_) => "once more with new credentials".to_owned(),
                CallVerdict::CorrectClock(_) => "once more by the clock of SES".to_owned(),
            };
            assert!(outcome.starts_with(&said), "{name}: {said}");
            for text in outcome.split('"').skip(1).step_by(2) {
                refusal.message = format!("It was: {text}");
                let CallVerdict::Each(held) = ses::call(&refusal, Remedies::default()) else {
                    panic!("{name} with {text:?} is not held");
                };
                assert_eq!(words(held.cause), "hold all", "{name} with {text:?}");
            }
            told.insert(name);
        }
    }
    // And nothing that the program knows is left out.
    let source = std::fs::read_to_string(root().join("src/send/ses/causes.rs")).unwrap();
    let source = source.split("#[cfg(test)]").next().unwrap();
    let known = source.split('"').skip(1).step_by(2).filter(|text| {
        text.starts_with(|first: char| first.is_ascii_uppercase()) && !text.contains(' ')
    });
    for name in known {
        assert!(told.contains(name), "{name} is not in docs/TRANSPORTS.md");
    }
}
