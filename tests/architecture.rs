//! The house keeps its floors: who may import whom, and who may do what.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each module at the top of `src/`; the table in `src/lib.rs` says the same.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["model", "snapshot", "checks", "error", "stop", "clock"]),
    (
        1,
        &[
            "token", "wire", "window", "pace", "verdict", "template", "address", "proxy", "screen",
            "metrics",
        ],
    ),
    (2, &["net", "db", "http", "log", "notify", "signal", "undelivered", "statsd", "textfile"]),
    (3, &["link", "aws"]),
    (4, &["ses", "settling"]),
    (5, &["source", "transport"]),
    (6, &["pump"]),
    (7, &["config"]),
    (8, &["cli"]),
    (9, &["cmd"]),
    (10, &["main", "lib"]),
];

/// Imports that look sideways, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // What is written on the wire is a token; its shape has one definition.
    ("wire", "token"),
    // A reason that is read is known by what begins it when it is written.
    ("snapshot", "model"),
    // Requests wait on a connection as an SMTP conversation does; how is said once.
    ("http", "net"),
];

fn source_files() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The text without its unit tests and without comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn floor(module: &str) -> u8 {
    let found = FLOORS.iter().find(|(_, modules)| modules.contains(&module));
    found.unwrap_or_else(|| panic!("{module} has no floor: add it here and in src/lib.rs")).0
}

/// The modules at the top of `src/` that a file names: `crate::NAME`, `crate::{NAME, …}`, and in
/// `main.rs` the same behind `mailroom::`.
fn imported(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for marker in ["crate::", "mailroom::"] {
        for (at, _) in text.match_indices(marker) {
            let rest = &text[at + marker.len()..];
            let names = match rest.strip_prefix('{') {
                None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap(),
                Some(list) => list.split("};").next().unwrap(),
            };
            let mut depth = 0;
            let mut name = String::new();
            for c in names.chars().chain([',']) {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        let first = name.split("::").next().unwrap().trim().to_owned();
                        found.extend((!first.is_empty()).then_some(first));
                        name.clear();
                    }
                    c if depth == 0 => name.push(c),
                    _ => {}
                }
            }
        }
    }
    found
}

#[test]
fn every_file_imports_only_from_lower_floors() {
    let mut breaches = Vec::new();
    for (file, text) in source_files() {
        let own = module(&file);
        for other in imported(&code(&text)) {
            let fine = other == own
                || floor(&other) < floor(own)
                || EXCEPTIONS.contains(&(own, other.as_str()));
            if !fine {
                breaches.push(format!("{file} (floor {}) imports {other}", floor(own)));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn within_a_folder_only_mod_is_shared() {
    let mut breaches = Vec::new();
    let files = source_files();
    for (file, text) in &files {
        let Some((folder, own)) = file.rsplit_once('/') else { continue };
        if own == "mod.rs" {
            continue;
        }
        let text = code(text);
        let siblings =
            files.iter().filter_map(|(other, _)| other.strip_prefix(folder)?.strip_prefix('/'));
        for sibling in siblings.filter(|other| *other != own && *other != "mod.rs") {
            let name = sibling.trim_end_matches(".rs").split('/').next().unwrap();
            if own.trim_end_matches(".rs") == name {
                continue;
            }
            let path = format!("{}::{name}::", folder.replace('/', "::"));
            if text.contains(&format!("super::{name}::"))
                || text.contains(&format!("crate::{path}"))
            {
                breaches.push(format!("{file} imports its sibling {name}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_floor_map_in_lib_names_every_module_on_its_floor() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let mut rows = BTreeMap::new();
    for line in lib.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let Ok(number) = cells[0].parse::<u8>() {
            rows.insert(number, cells[2].to_owned());
        }
    }
    for (number, modules) in FLOORS {
        for module in modules.iter().filter(|module| **module != "lib") {
            let row = rows.get(number).unwrap_or_else(|| panic!("no floor {number} in src/lib.rs"));
            assert!(row.contains(&format!("`{module}`")), "floor {number} does not name {module}");
        }
    }
}

/// Only the files that begin with one of `allowed` may hold `word`.
fn only(allowed: &[&str], word: &str) {
    for (file, text) in source_files() {
        let fine = allowed.iter().any(|start| file.starts_with(start));
        assert!(fine || !code(&text).contains(word), "{file} holds {word:?}");
    }
}

#[test]
fn each_outside_thing_has_one_place() {
    only(&["db/"], "postgres::");
    only(&["http", "transport/", "aws/"], "ureq::");
    only(&["token.rs"], "hmac::");
    only(&["main.rs"], "process::exit");
    only(&["cmd/", "config.rs", "cli.rs", "main.rs"], "crate::config");
    only(&["cmd/", "main.rs"], "env::var");
    only(&["signal.rs"], "unsafe ");
}

#[test]
fn only_the_pump_the_log_and_the_deadlines_of_edges_read_the_clock() {
    // The log stamps its lines; a session, an HTTP call and a credential process must end their
    // own waits.
    for word in ["Instant::now", "SystemTime::now", "now_utc"] {
        only(
            &[
                "pump.rs",
                "cmd/",
                "log.rs",
                "db/session",
                "http",
                "db/conninfo",
                "aws/credentials/process",
            ],
            word,
        );
    }
}

#[test]
fn nothing_starts_a_thread() {
    only(&[], "thread::spawn");
    only(&[], "thread::Builder");
    only(&[], "new_multi_thread");
    only(&[], "spawn_blocking");
}

#[test]
fn no_file_is_long_and_every_module_says_what_it_owns() {
    for (file, text) in source_files() {
        let lines = text.split("#[cfg(test)]").next().unwrap().lines().count();
        assert!(lines <= 420, "{file} has {lines} lines before its tests");
        assert!(text.starts_with("//!"), "{file} does not begin with what it owns");
    }
}
