//! What the documents say is so: their numbers, screens, log lines, links, commands and code.

mod adopting;
mod links;
mod operations;
mod readme;
mod scripts;
#[cfg(all(feature = "smtp", feature = "postmark"))]
mod transports;
mod verifying;

use std::path::{Path, PathBuf};

/// The folder of the project.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document's text.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands under the heading of this text, up to the next heading of its rank or a higher one.
fn section(document: &str, heading: &str) -> String {
    let mut found = None;
    let mut fenced = false;
    for line in document.lines() {
        fenced ^= line.starts_with("```");
        let rank = line.bytes().take_while(|byte| *byte == b'#').count();
        match &mut found {
            _ if fenced || rank == 0 => {}
            None if line[rank..].trim() == heading => found = Some((rank, String::new())),
            Some((own, text)) if rank <= *own => return std::mem::take(text),
            _ => {}
        }
        if let Some((_, text)) = &mut found {
            *text += line;
            *text += "\n";
        }
    }
    found.unwrap_or_else(|| panic!("there is no heading {heading:?}")).1
}

/// The fenced blocks of a language, in their order.
pub fn blocks(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    let inside = |part: &str| part.split_once("```\n").expect("the block is closed").0.to_owned();
    text.split(open.as_str()).skip(1).map(inside).collect()
}

/// The rows of the tables in a text, as cells, without the lines under the heads.
fn rows(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The documents that a reader meets first.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["", "docs"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    found.sort();
    found
}
