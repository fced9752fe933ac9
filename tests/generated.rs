//! The manual page and the completions: made here from the tables of commands and settings, so that
//! the program need not carry them, and committed in docs/deploy.
//!
//! `UPDATE_GOLDEN=1 cargo test --test mailroom generated` writes them again.

mod completions;
mod man;
mod shells;
mod words;

use crate::support::tools::{assert_silent, tool};
use mailroom::ops::cli::help::COMMANDS;
use mailroom::ops::{cli, cmd};
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

#[test]
fn help_is_grouped_and_the_example_of_each_command_is_one_that_the_program_reads() {
    let help = cli::help::help(None);
    let places =
        ["The database:", "Sending:", "The provider:", "Operating:"].map(|group| help.find(group));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{help}");
    for command in COMMANDS {
        assert!(help.contains(&format!("$ {}\n", command.example())), "{}: {help}", command.name);
        let mut mine = false;
        for part in command.example().split(" | ") {
            let part = part.split(" < ").next().unwrap();
            let words: Vec<_> = tokens(part).into_iter().map(Into::into).collect();
            let parsed =
                cmd::parse(words).unwrap_or_else(|error| panic!("{part}: {}", error.message));
            mine |= parsed.name == command.name;
        }
        assert!(mine, "{}: {}", command.name, command.example());
        let details = words::details(command);
        assert!(!details.contains("mailroom --") && !details.contains("$ "));
    }
}

/// The words behind the program's name; quotes hold words together.
fn tokens(line: &str) -> Vec<String> {
    let script = r#"for word; do printf '%s\n' "$word"; done"#;
    let script =
        format!("words() {{ {script}; }}; TOKEN=x; {}", line.replacen("mailroom", "words", 1));
    let out =
        crate::support::tools::run(std::process::Command::new("sh").args(["-eu", "-c", &script]));
    out.lines().map(str::to_owned).collect()
}
