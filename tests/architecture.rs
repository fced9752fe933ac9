//! The house keeps its rooms: who may import whom, and who may do what.

use crate::support::cluster::tags;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import besides itself; the table in `src/lib.rs` says the same.
const ROOMS: &[(&str, &[&str])] = &[
    ("mail", &[]),
    ("edges", &[]),
    ("queue", &["mail", "edges"]),
    ("pipe", &["mail", "edges"]),
    ("send", &["mail", "edges"]),
    ("lists", &["mail", "edges"]),
    ("pump", &["mail", "edges"]),
    ("ops", &["mail", "edges", "queue", "pipe", "send", "lists", "pump"]),
    ("main", &["mail", "edges", "queue", "pipe", "send", "lists", "pump", "ops"]),
    ("lib", &[]),
];

/// The most lines of code in the product: comments, blank lines, tests and SQL apart. The aim is
/// 5,000 (`scripts/lines`); until it is reached this goes down with what is deleted, and not up.
const PRODUCT: usize = 7_383;

/// A source file: its path below `src/`, and its code.
struct File {
    path: String,
    code: String,
}

impl File {
    /// `queue/store.rs` is `queue::store`.
    fn module(&self) -> String {
        self.path.trim_end_matches(".rs").replace('/', "::")
    }

    fn room(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }
}

fn files() -> Vec<File> {
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
    let file = |path: &PathBuf| File {
        path: path.strip_prefix(&root).unwrap().display().to_string(),
        code: code(&fs::read_to_string(path).unwrap()),
    };
    paths.iter().map(file).collect()
}

/// The text without its unit tests, comments and blank lines.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

/// The paths that a text names behind `crate::` or `mailroom::`; lists in braces are taken apart.
fn imports(code: &str) -> Vec<String> {
    fn list(prefix: &str, text: &str, found: &mut Vec<String>) {
        let mut depth = 0;
        let mut part = String::new();
        for c in text.chars().chain([',']) {
            match c {
                ',' if depth == 0 => {
                    let part = std::mem::take(&mut part);
                    let part = part.trim();
                    match part.split_once('{') {
                        Some((head, rest)) => {
                            list(
                                &format!("{prefix}{head}"),
                                rest.trim_end().trim_end_matches('}'),
                                found,
                            );
                        }
                        None if !part.is_empty() => {
                            let name = part.split(" as ").next().unwrap();
                            found.push(format!("{prefix}{}", name.trim_end_matches("::self")));
                        }
                        None => {}
                    }
                    continue;
                }
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            part.push(c);
        }
    }
    let mut found = Vec::new();
    for marker in ["crate::", "mailroom::"] {
        for (at, _) in code.match_indices(marker) {
            if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + marker.len()..];
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .unwrap_or(rest.len());
            if rest[end..].starts_with('{') {
                let close = rest.find(';').unwrap_or(rest.len());
                let inner = rest[end + 1..close].trim_end().trim_end_matches('}');
                list(&rest[..end], inner, &mut found);
            } else {
                found.push(rest[..end].trim_end_matches(':').to_owned());
            }
        }
    }
    found
}

/// The file that a path leads to: the longest part of it that is one.
fn target<'a>(modules: &'a BTreeSet<String>, path: &str) -> Option<&'a String> {
    let mut path = path;
    loop {
        if let Some(found) = modules.get(path) {
            return Some(found);
        }
        path = path.rsplit_once("::")?.0;
    }
}

#[test]
fn every_file_imports_only_what_its_room_may() {
    let mut breaches = Vec::new();
    for file in files() {
        let (_, allowed) =
            ROOMS.iter().find(|(room, _)| *room == file.room()).unwrap_or_else(|| {
                panic!("{} is in no room: add it here and in src/lib.rs", file.path)
            });
        for path in imports(&file.code) {
            let other = path.split("::").next().unwrap();
            if other != file.room() && !allowed.contains(&other) {
                breaches.push(format!("{} imports {path}", file.path));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn no_file_reaches_a_sibling_through_their_parent() {
    let files = files();
    let by_module: BTreeMap<String, &File> =
        files.iter().map(|file| (file.module(), file)).collect();
    let mut breaches = Vec::new();
    for file in &files {
        assert!(!file.code.contains("super::"), "{} says super: name the path", file.path);
        for path in imports(&file.code) {
            let Some((module, name)) = path.rsplit_once("::") else { continue };
            let is_parent = file.module().starts_with(&format!("{module}::"));
            let Some(parent) = by_module.get(module).filter(|_| is_parent) else { continue };
            let handed_on = parent.code.lines().any(|line| {
                let line = line.trim_start().trim_start_matches("pub ");
                line.starts_with("use ")
                    && line
                        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                        .any(|word| word == name)
            });
            if handed_on {
                breaches.push(format!("{} gets {name} through {module}", file.path));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn imports_go_round_in_no_circle() {
    let files = files();
    let modules: BTreeSet<String> = files.iter().map(File::module).collect();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let own = file.module();
        let mut found: BTreeSet<String> =
            imports(&file.code).iter().filter_map(|path| target(&modules, path).cloned()).collect();
        // A parent names its children without the way to them.
        for child in modules.iter().filter_map(|module| module.strip_prefix(&format!("{own}::"))) {
            let named = file.code.match_indices(&format!("{child}::")).any(|(at, _)| {
                !file.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !child.contains("::") {
                found.insert(format!("{own}::{child}"));
            }
        }
        found.remove(&own);
        uses.insert(own, found);
    }
    // What imports nothing that is left is taken away until nothing can be.
    loop {
        let left: BTreeSet<String> = uses.keys().cloned().collect();
        let free = |(module, used): (&String, &BTreeSet<String>)| {
            used.is_disjoint(&left).then(|| module.clone())
        };
        let free: Vec<String> = uses.iter().filter_map(free).collect();
        if free.is_empty() {
            break;
        }
        uses.retain(|module, _| !free.contains(module));
    }
    // Who only imports those that go round is not part of it.
    loop {
        let used: BTreeSet<String> = uses.values().flatten().cloned().collect();
        let before = uses.len();
        uses.retain(|module, _| used.contains(module));
        if uses.len() == before {
            break;
        }
    }
    let left: BTreeSet<String> = uses.keys().cloned().collect();
    let lines: Vec<String> = uses
        .iter()
        .map(|(module, used)| {
            let round: Vec<&String> = used.intersection(&left).collect();
            format!("{module} imports {round:?}")
        })
        .collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}

#[test]
fn the_table_in_lib_names_every_room() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (room, _) in ROOMS.iter().filter(|(room, _)| !["main", "lib"].contains(room)) {
        assert!(lib.contains(&format!("//! | `{room}` |")), "src/lib.rs does not name {room}");
    }
}

#[test]
fn the_product_keeps_its_size() {
    let product = ["mail", "queue", "pipe", "send", "pump"];
    let lines = |file: &File| file.code.lines().count();
    let files = files();
    let total: usize = files.iter().filter(|file| product.contains(&file.room())).map(lines).sum();
    assert!(total <= PRODUCT, "the product has {total} lines of code, and may have {PRODUCT}");
}

/// Only the files that begin with one of `allowed` may hold `word`.
fn only(allowed: &[&str], word: &str) {
    for file in files() {
        let fine = allowed.iter().any(|start| file.path.starts_with(start));
        assert!(fine || !file.code.contains(word), "{} holds {word:?}", file.path);
    }
}

#[test]
fn each_outside_thing_has_one_place() {
    only(&["edges/pg", "queue/", "lists/"], "postgres::");
    only(&["edges/http"], "ureq::");
    only(&["mail/token.rs"], "hmac::");
    only(&["main.rs"], "process::exit");
    only(&["ops/"], "crate::ops::config");
    // The second one only keeps variables from another program.
    only(&["ops/environment.rs", "edges/command.rs"], "env::var");
    only(&["edges/signal.rs"], "unsafe ");
}

#[test]
fn what_is_pure_does_nothing() {
    let words = [
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::os",
        "std::process",
        "Instant::now",
        "SystemTime::now",
        "getrandom",
    ];
    for file in files().iter().filter(|file| file.room() == "mail") {
        for word in words {
            assert!(!file.code.contains(word), "{} holds {word:?}", file.path);
        }
    }
}

#[test]
fn only_the_process_the_log_and_the_deadlines_of_edges_read_the_clock() {
    for word in ["Instant::now", "SystemTime::now", "now_utc"] {
        only(&["edges/", "pump.rs"], word);
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
fn every_module_says_what_it_owns_and_is_of_one_style() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in files() {
        let text = fs::read_to_string(root.join(&file.path)).unwrap();
        assert!(text.starts_with("//!"), "{} does not begin with what it owns", file.path);
        assert!(!file.path.ends_with("mod.rs"), "{}: a module is name.rs, with name/", file.path);
    }
}

#[test]
fn every_statement_has_a_tag_of_its_own_by_which_it_is_found_on_the_server() {
    let tags = tags();
    for tag in &tags {
        let name = tag.strip_prefix("-- mailroom:").and_then(|rest| rest.strip_suffix('\n'));
        assert!(name.is_some_and(|name| !name.is_empty()), "{tag:?}");
    }
    assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len(), "two have the same");
}
