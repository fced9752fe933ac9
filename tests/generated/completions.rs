//! Completions for three shells.

use super::words::{Flag, Value, arguments, flags, plain, subcommands};
use mailroom::ops::cli::help::COMMANDS;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const MADE: &str = "Made by tests/generated.rs from the tables of commands and settings.";

fn names(flags: &[Flag]) -> String {
    flags.iter().map(|flag| flag.name).collect::<Vec<_>>().join(" ")
}

fn commands() -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(" ")
}

/// For bash(1), without the package bash-completion.
pub fn bash() -> String {
    let mut out = format!("# bash completion of mailroom. {MADE}\n\n_mailroom() {{\n");
    out.push_str(
        r#"    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local words='' flags='' word sub=''
    COMPREPLY=()
    # --flag=value comes in three words.
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    if ((COMP_CWORD == 1)); then
"#,
    );
    let _ = writeln!(
        out,
        "        mapfile -t COMPREPLY < <(compgen -W '{} --help --version --env-file' -- \"$cur\")",
        commands()
    );
    out.push_str("        return\n    fi\n    case $prev in\n");
    for (reply, names) in replies() {
        let names = names.into_iter().collect::<Vec<_>>().join(" | ");
        let _ = writeln!(out, "        {names})\n            {reply}\n            return ;;");
    }
    out.push_str("    esac\n    case ${COMP_WORDS[1]} in\n");
    for command in COMMANDS {
        let (words, flags) = (arguments(command).join(" "), names(&flags(command)));
        let _ =
            writeln!(out, "        {}) words='{words}' flags='{flags} --help' ;;", command.name);
    }
    out.push_str(
        r#"        *) return ;;
    esac
    for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
        [[ " $words " == *" $word "* ]] && sub=$word
    done
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur")
    elif [[ -z $sub ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
    fi
}

complete -o default -F _mailroom mailroom
"#,
    );
    out
}

/// What bash does after a flag that takes a value, and the flags that want this. A flag means the
/// same with each command.
fn replies() -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut replies: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    for flag in COMMANDS.iter().flat_map(flags) {
        let reply = match &flag.value {
            Value::None => continue,
            Value::OneOf(words) => compgen(&format!("-W '{}'", words.join(" "))),
            Value::Directory => {
                format!("{}\n            compopt -o filenames 2>/dev/null", compgen("-d"))
            }
            Value::Any => ":".to_owned(),
        };
        replies.entry(reply).or_default().insert(flag.name);
    }
    replies
}

fn compgen(what: &str) -> String {
    format!("mapfile -t COMPREPLY < <(compgen {what} -- \"$cur\")")
}

/// For zsh(1): a file of its `fpath`.
pub fn zsh() -> String {
    let mut out = format!("#compdef mailroom\n# zsh completion of mailroom. {MADE}\n\n");
    out.push_str("local -a commands=(\n");
    for command in COMMANDS {
        let _ = writeln!(
            out,
            "    {}",
            quoted(&format!("{}:{}", command.name, plain(command.summary())))
        );
    }
    out.push_str(
        ")\n\nif ((CURRENT == 2)); then\n    _describe command commands\n    \
         _values flag --help --version --env-file\n    return\nfi\n\ncase $words[2] in\n",
    );
    for command in COMMANDS {
        let _ = writeln!(out, "    {})\n        _arguments \\", command.name);
        for flag in flags(command) {
            let meaning =
                flag.meaning.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]");
            let meaning = if meaning.is_empty() { meaning } else { format!("[{meaning}]") };
            let equals = if flag.value == Value::None { "" } else { "=" };
            let value = match &flag.value {
                Value::None => String::new(),
                Value::OneOf(words) => format!(":value:({})", words.join(" ")),
                Value::Directory => ":directory:_files -/".to_owned(),
                Value::Any => ":value: ".to_owned(),
            };
            let _ = writeln!(
                out,
                "            {} \\",
                quoted(&format!("{}{equals}{meaning}{value}", flag.name))
            );
        }
        out.push_str("            '--help[show its help]' \\\n");
        match arguments(command) {
            words if words.is_empty() => out.push_str("            '1:command: '"),
            words => {
                let _ = write!(
                    out,
                    "            '1:command: ' \\\n            '2:word:({})'",
                    words.join(" ")
                );
            }
        }
        out.push_str(" ;;\n");
    }
    out.push_str("esac\n");
    out
}

/// For fish(1).
pub fn fish() -> String {
    let mut out = format!("# fish completion of mailroom. {MADE}\n\ncomplete -c mailroom -f\n");
    let first = "not __fish_seen_subcommand_from";
    for command in COMMANDS {
        let _ = writeln!(
            out,
            "complete -c mailroom -n '{first} {}' -a {} -d {}",
            commands(),
            command.name,
            escaped(&plain(command.summary()))
        );
    }
    let _ = writeln!(
        out,
        "complete -c mailroom -n '{first} {}' -l version -d 'the version'",
        commands()
    );
    let _ = writeln!(
        out,
        "complete -c mailroom -n '{first} {}' -l env-file -r -F -d 'a file of variables'",
        commands()
    );
    out.push_str("complete -c mailroom -l help -d 'show help'\n");
    for command in COMMANDS {
        let seen = format!("__fish_seen_subcommand_from {}", command.name);
        let words = arguments(command).join(" ");
        if !words.is_empty() {
            let none = subcommands(command).join(" ");
            let none =
                if none.is_empty() { String::new() } else { format!("; and {first} {none}") };
            let _ = writeln!(out, "complete -c mailroom -n '{seen}{none}' -a '{words}'");
        }
        for flag in flags(command) {
            let value = match &flag.value {
                Value::None => String::new(),
                Value::OneOf(words) => format!(" -x -a '{}'", words.join(" ")),
                Value::Directory => " -x -a '(__fish_complete_directories)'".to_owned(),
                Value::Any => " -x".to_owned(),
            };
            let meaning = match flag.meaning.as_str() {
                "" => String::new(),
                text => format!(" -d {}", escaped(text)),
            };
            let name = flag.name.trim_start_matches('-');
            let _ = writeln!(out, "complete -c mailroom -n '{seen}' -l {name}{value}{meaning}");
        }
    }
    out
}

/// One word for zsh.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// One word for fish.
fn escaped(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
