//! The completions, as the shells themselves give them.

use super::{BASH, FISH, ZSH, path};
use crate::support::tools::{assert_silent, run, tool};
use mailroom::ops::cli::help::COMMANDS;
use mailroom::ops::config::VARS;
use std::process::Command;

/// Asks a shell what could follow each of these lines; the words, sorted. `None` if it is not
/// installed.
type Shell = fn(&[&str]) -> Option<Vec<Vec<String>>>;

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let general = ["", "--help", "--version", "--env-file", "-h"];
    let words = words.map(str::trim_end).filter(|word| !general.contains(word));
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort();
    words
}

fn bash(lines: &[&str]) -> Option<Vec<Vec<String>>> {
    let script = r#"source "$0"; complete -p mailroom >/dev/null
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mailroom
        printf '%s\n' "${COMPREPLY[@]}""#;
    let ask = |line: &&str| {
        // As the shell does, = is a word of its own.
        let line = line.replace('=', " = ");
        let words = line.strip_suffix("= ").map_or(line.clone(), |line| format!("{line}="));
        let mut bash = Command::new("bash");
        let bash = bash.args(["--norc", "-c", script]).arg(path(BASH)).args(words.split(' '));
        sorted(run(bash).lines())
    };
    Some(lines.iter().map(ask).collect())
}

fn fish(lines: &[&str]) -> Option<Vec<Vec<String>>> {
    tool("fish")?;
    let home = tempfile::tempdir().unwrap();
    let script = "source $argv[1]; complete -C $argv[2]";
    let ask = |line: &&str| {
        let mut fish = Command::new("fish");
        let fish = fish.env("HOME", home.path()).args(["--no-config", "-c", script]);
        let out = run(fish.arg(path(FISH)).arg(line));
        // The word, a tab, its meaning; of --flag=value the whole.
        let words = out.lines().filter_map(|line| line.split('\t').next()?.rsplit('=').next());
        sorted(words)
    };
    Some(lines.iter().map(ask).collect())
}

/// zsh completes only on a terminal: it is given one, and says what it would offer.
const ON_A_TERMINAL: &str = r#"
    zmodload zsh/zpty
    zpty shell zsh -f -i
    send() { zpty -w shell "$1" }
    send 'PROMPT=; unset zle_bracketed_paste; stty columns 10000'
    send "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -u -D"
    send 'compadd() {
        if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return $?; fi
        local -a __hits; builtin compadd -A __hits "$@"; builtin compadd "$@"
        for __hit in $__hits; do print -r -- "HIT<$__hit>"; done }'
    send 'zstyle ":completion:*" list-prompt ""; zstyle ":completion:*" menu no'
    send 'asked() { print "ASKED" }; zle -N asked; bindkey "^X" asked; bindkey "^I" complete-word'
    send 'print READ""Y'
    zpty -r -m shell text '*READY*'
    shift
    for line; do
        zpty -w -n shell "$line"$'\t\x18'
        zpty -r -m shell text '*ASKED*'
        zpty -w -n shell $'\x15'
        print -r -- "$text" | grep -o 'HIT<[^>]*>' | sed 's/^HIT<//; s/>$//; s/=$//' | sort -u
        print END
    done
"#;

fn zsh(lines: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut zsh = tool("zsh")?;
    let home = tempfile::tempdir().unwrap();
    let folder = path(ZSH).parent().unwrap().to_owned();
    let zsh = zsh.env("HOME", home.path()).env("TERM", "dumb");
    let out = run(zsh.args(["-f", "-c", ON_A_TERMINAL, "zsh"]).arg(folder).args(lines));
    let answers: Vec<Vec<String>> = out.split("END\n").map(|part| sorted(part.lines())).collect();
    Some(answers[..lines.len()].to_vec())
}

const SHELLS: &[(&str, Shell)] = &[("bash", bash), ("fish", fish), ("zsh", zsh)];

#[test]
fn the_shells_read_them_without_a_word() {
    for (name, file) in [("bash", BASH), ("zsh", ZSH), ("fish", FISH)] {
        if let Some(mut shell) = tool(name) {
            assert_silent(shell.arg("-n").arg(path(file)));
        }
    }
    if let Some(mut shellcheck) = tool("shellcheck") {
        assert_silent(shellcheck.args(["--shell=bash"]).arg(path(BASH)));
    }
}

#[test]
fn every_shell_completes_commands_words_flags_and_values() {
    let mut commands: Vec<String> =
        COMMANDS.iter().map(|command| command.name.to_owned()).collect();
    commands.sort();
    let own = |command: &str| {
        let flags = VARS.iter().filter(|var| var.used_by.contains(&command));
        flags.filter_map(|var| var.flag).map(str::to_owned).collect::<Vec<_>>()
    };
    let list = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut status = own("status");
    status.extend(list("--json --html --watch --exit-code"));
    status.sort();
    let expected = [
        ("mailroom ", commands),
        ("mailroom co", list("collect")),
        ("mailroom help ve", list("verify")),
        ("mailroom migrate ", list("down force grants status up")),
        ("mailroom queue re", list("resume retry")),
        ("mailroom queue list --sta", list("--state")),
        ("mailroom queue list --state ", list("all expired failed leased pending sent superseded")),
        ("mailroom run --transport ", list("postmark ses smtp")),
        ("mailroom run --transport=", list("postmark ses smtp")),
        ("mailroom collect --ack ", list("sent written")),
        ("mailroom run --log-", list("--log-format --log-level")),
        ("mailroom status --", status),
    ];
    let lines = expected.each_ref().map(|(line, _)| *line);
    for (name, shell) in SHELLS {
        for (found, (line, words)) in shell(&lines).into_iter().flatten().zip(&expected) {
            assert_eq!(&found, words, "{name}: {line:?}");
        }
    }
}
