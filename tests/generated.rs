//! The manual page and the completions: made here from the tables of commands and settings, so that
//! the program need not carry them, and committed in docs/deploy.
//!
//! `UPDATE_GOLDEN=1 cargo test --test mailroom generated` writes them again.

mod completions;
mod man;
mod shells;
mod words;

use crate::support::tools::{assert_silent, tool};
use std::path::{Path, PathBuf};

const PAGE: &str = "mailroom.1";
const BASH: &str = "completions/mailroom.bash";
const ZSH: &str = "completions/_mailroom";
const FISH: &str = "completions/mailroom.fish";

/// A file of docs/deploy.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy").join(name)
}

#[test]
fn the_manual_page_and_the_completions_are_those_of_the_tables() {
    let made = [
        (PAGE, man::page()),
        (BASH, completions::bash()),
        (ZSH, completions::zsh()),
        (FISH, completions::fish()),
    ];
    for (name, text) in made {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path(name), &text).unwrap();
        }
        let committed = std::fs::read_to_string(path(name)).unwrap_or_default();
        let different = committed.lines().zip(text.lines()).find(|(old, new)| old != new);
        assert!(
            committed == text,
            "docs/deploy/{name} is old; UPDATE_GOLDEN=1 writes it again. First: {different:?}"
        );
    }
}

#[test]
fn no_reader_of_manual_pages_complains_about_ours() {
    if let Some(mut mandoc) = tool("mandoc") {
        assert_silent(mandoc.args(["-T", "lint", "-W", "warning"]).arg(path(PAGE)));
    }
    if let Some(mut groff) = tool("groff") {
        let page = groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(path(PAGE));
        assert_silent(page);
    }
}
