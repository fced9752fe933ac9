//! The log lines that the document explains are texts of the source.

use crate::documents::{read, root, rows, section};
use std::collections::BTreeSet;
use std::path::Path;

/// All texts between quotes in the source, with `…` for what is put in.
fn texts(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            texts(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            found.extend(literals(&source).iter().map(|text| pattern(text)));
        }
    }
}

/// The string literals of a source, unescaped where that matters here.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in joined(source).lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let mut inside: Option<String> = None;
        let mut escaped = false;
        for c in code.chars() {
            match (&mut inside, c) {
                (Some(text), _) if std::mem::take(&mut escaped) => text.push(c),
                (Some(_), '\\') => escaped = true,
                (Some(_), '"') => found.extend(inside.take()),
                (Some(text), _) => text.push(c),
                (None, '"') => inside = Some(String::new()),
                (None, _) => {}
            }
        }
    }
    found
}

/// The source with the lines of a literal that goes on after a `\` made one.
fn joined(source: &str) -> String {
    let mut out = String::new();
    for line in source.lines() {
        let goes_on = !out.is_empty() && !out.ends_with('\n');
        let line = if goes_on { line.trim_start() } else { line };
        match line.strip_suffix('\\') {
            Some(part) => out += part,
            None => {
                out += line;
                out.push('\n');
            }
        }
    }
    out
}

/// The text with `…` for each run of places where a value is put in.
fn pattern(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => {
                depth -= 1;
                if !out.ends_with('…') {
                    out.push('…');
                }
            }
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

#[test]
fn each_log_line_that_is_explained_is_one_that_the_program_writes() {
    let mut known = BTreeSet::new();
    texts(&root().join("src"), &mut known);
    let table = section(&read("docs/OPERATIONS.md"), "Troubleshooting by log line");
    let lines: Vec<String> = rows(&table).into_iter().skip(1).map(|row| row[0].clone()).collect();
    assert!(lines.len() > 30, "only {} lines", lines.len());
    for line in lines {
        let text = line.trim_matches('`');
        // A line may be put together of parts: an address, what became of the mail, a reason.
        let part = text.trim_matches('…');
        let is_written = known.contains(text) || known.contains(part);
        assert!(is_written, "the program does not write: {text}");
    }
}
