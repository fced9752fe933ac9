//! The scripts that a newcomer runs first.

use super::root;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

#[test]
fn each_script_says_what_it_does() {
    let mut asked = 0;
    for entry in std::fs::read_dir(root().join("scripts")).unwrap().flatten() {
        let is_program = entry.metadata().unwrap().permissions().mode() & 0o111 != 0;
        let name = entry.file_name().into_string().unwrap();
        if !is_program || name.contains('.') {
            continue;
        }
        asked += 1;
        let done = Command::new(entry.path()).arg("--help").output().unwrap();
        let out = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success() && done.stderr.is_empty(), "{name}: {:?}", done.stderr);
        assert!(out.lines().count() > 2 && !out.contains("set -eu"), "{name}: {out}");
    }
    assert!(asked >= 9, "{asked} scripts");
}

#[test]
fn the_demo_shows_nine_mails_and_nothing_that_looks_wrong() {
    let done = Command::new(root().join("scripts/demo"))
        .args(["--program", env!("CARGO_BIN_EXE_mailroom")])
        .output()
        .unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    let log = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(0), "{out}\n{log}");
    assert_eq!(out.matches("\n  To:      ").count(), 9, "{out}");
    assert!(out.contains("فاتورة 2026-18") && out.ends_with("each from a row in the database.\n"));
    for word in ["WARN", "ERROR", "cannot", "failed"] {
        assert!(!log.contains(word), "{word}: {log}");
    }
    assert!(log.contains("the provider allows 14 recipients/s"), "{log}");
}

#[test]
fn what_the_linker_moves_behind_the_rest_is_still_called_so() {
    let script = super::read("scripts/static.ld");
    let words = script.split(['*', '?', ' ', '(', ')', '\n']);
    let names: Vec<String> = words.filter_map(module).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let file = |name: &str| root().join("src").join(format!("{name}.rs"));
        let (module, last) = name.rsplit_once('/').unwrap_or_default();
        let is_function = || {
            let text = std::fs::read_to_string(file(module)).unwrap_or_default();
            text.contains(&format!("fn {last}("))
        };
        assert!(file(&name).exists() || is_function(), "nothing is called {name} any more");
    }
}

/// The path of a module of ours that a pattern names: as a function of it is called,
/// `8mailroom4send3ses`, or an implementation for its types, `mailroom..send..ses`.
fn module(word: &str) -> Option<String> {
    if let Some(path) = word.strip_prefix("mailroom..") {
        return Some(path.trim_end_matches('.').replace("..", "/"));
    }
    let mut rest = word.strip_prefix("8mailroom")?;
    let mut path = Vec::new();
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
        let (length, name) = rest.split_at(end);
        let (name, after) = name.split_at(length.parse().unwrap());
        path.push(name);
        rest = after;
    }
    Some(path.join("/"))
}
