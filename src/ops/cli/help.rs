//! The help texts: what the commands are for, and the settings they read.

use crate::ops::config::VARS;
use crate::ops::config::reader::Var;
use std::fmt::Write as _;

/// One command, for help.
pub struct CommandHelp {
    /// Its name.
    pub name: &'static str,
    /// Its words.
    pub usage: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// More, if that needs saying.
    pub details: &'static str,
}

/// All commands, in the order of the documents.
pub const COMMANDS: &[CommandHelp] = &[
    CommandHelp {
        name: "collect",
        usage: "mailroom collect [FLAGS]",
        summary: "database -> signed CSV batches on stdout",
        details: "Listens for notifications, claims waiting deliveries, signs each and writes a \
                  CSV record a batch.\nEnds with status 74 if the reader is gone; what was not \
                  handed over is released.",
    },
    CommandHelp {
        name: "send",
        usage: "mailroom send [FLAGS]",
        summary: "CSV batches on stdin -> the mail provider",
        details: "Reads records of action,email,login,secret,code, or CloudEvents, and sends them. Bad ones are \
                  reported and kept in undelivered.csv,\nbut for what is cut off or too long; the exit \
                  status is then 65.",
    },
    CommandHelp {
        name: "run",
        usage: "mailroom run [FLAGS]",
        summary: "both in one process, acknowledging end to end",
        details: "",
    },
    CommandHelp {
        name: "migrate",
        usage: "mailroom migrate up | down [N] [--yes] | status | force VERSION | grants ROLE [--operator]",
        summary: "apply, take back or show the database schema",
        details: "up: to the newest version. down: back by N versions (1 if not given); \
                  --yes if the first one goes too,\nwhich drops accounts and tokens. status: \
                  what is applied.\nforce: record VERSION (-1 for none) as applied and clean, \
                  without running anything.\ngrants: give a role exactly what collect, run, send, \
                  status and health need; with --operator\nalso what queue pause and resume need.",
    },
    CommandHelp {
        name: "status",
        usage: "mailroom status [--json] [--watch] [--exit-code [--max-age 10m]]",
        summary: "whether mail moves: depth, ages, throughput, failures, who listens",
        details: "--watch draws it again every two seconds. --exit-code: status 1 if mail \
                  does not move (as `mailroom health` says),\nor anything failed and was not dropped.",
    },
    CommandHelp {
        name: "queue",
        usage: "mailroom queue list [--state S] [--limit N] [--json] [--reveal]\n\
                mailroom queue show ID [--json] [--reveal]\n\
                mailroom queue retry ID... | --all [--reason R] [--cause C]\n\
                mailroom queue drop ID... | --all [--reason R] [--cause C] --yes\n\
                mailroom queue pause [--reason TEXT] | resume",
        summary: "look at deliveries, retry or drop them; pause and resume",
        details: "list: what is leased, waits or failed, or one state, or all. retry: failed ones, with \
                  all their attempts; --all leaves out those that were dropped, unless a reason \
                  or cause is given.\ndrop: waiting and failed ones become failed with the \
                  reason \"dropped by NAME\".\npause: nothing is claimed on any machine; what is \
                  on its way is still settled.\nAddresses are masked unless --reveal. --reason R: \
                  those whose reason begins so; --cause C: those of that cause, such as rejected.",
    },
    CommandHelp {
        name: "check",
        usage: "mailroom check [--json] [FLAGS]",
        summary: "preflight of run: settings, database, grants, NOTIFY, clocks, provider, templates",
        details: "Looks at all that `mailroom run` would need with these settings, sends nothing and \
                  changes nothing\n(but for making the output directory). Each line says ok, \
                  warning or failed, and what to do.\nExit status 0 (there may be warnings), 78 if \
                  a person must change something, 69 if something is not reached.",
    },
    CommandHelp {
        name: "health",
        usage: "mailroom health [--max-age 10m]",
        summary: "0 or 1 for a health check: does mail move?",
        details: "1 if the database cannot be reached, if nobody listens on the queue, or if mail \
                  has been due for longer than --max-age\n(not while the queue is paused).",
    },
    CommandHelp {
        name: "verify",
        usage: "mailroom verify [TOKEN] [--code 12345] [--path /x]...",
        summary: "is this token ours, and for what?",
        details: "Prints the action, the secret in hexadecimal and whether the token is valid; \
                  exit status 0 or 1.\nWithout TOKEN reads one a line from stdin. --path adds a \
                  path to the two known ones.",
    },
    CommandHelp {
        name: "template",
        usage: "mailroom template list | show NAME [--data] | push [--from DIR] | check",
        summary: "the mail templates at the provider (SES)",
        details: "list: those of the account, and which actions use them. show: one of them, or \
                  with --data the data that fills it.\npush: creates or updates those in \
                  MAILROOM_TEMPLATES from NAME.subject, NAME.txt and NAME.html in DIR \
                  (./templates).\ncheck: lets the provider render each with data like that of a \
                  mail; exit status 78 if a template or a variable is missing.",
    },
    CommandHelp {
        name: "help",
        usage: "mailroom help [COMMAND]",
        summary: "this text, or that of a command with its settings",
        details: "",
    },
];

/// The help text, on one command or all.
pub fn help(command: Option<&str>) -> String {
    let mut out = String::new();
    match command.and_then(|name| COMMANDS.iter().find(|command| command.name == name)) {
        None => {
            out.push_str("mailroom sends the mails that a PostgreSQL database asks for.\n\n");
            for command in COMMANDS {
                let _ = writeln!(out, "  mailroom {:<10} {}", command.name, command.summary);
            }
            out.push_str(
                "\n`mailroom help COMMAND` shows its settings. Every setting is an environment \
                 variable;\nevery one that is no secret is a flag too. A secret X may stand in a \
                 file named by X_FILE.\n",
            );
        }
        Some(command) => {
            let _ = writeln!(out, "{}\n\n{}", command.usage, command.summary);
            if !command.details.is_empty() {
                let _ = writeln!(out, "\n{}", command.details);
            }
            let vars: Vec<&Var> =
                VARS.iter().filter(|var| var.used_by.contains(&command.name)).collect();
            if !vars.is_empty() {
                out.push_str("\nSettings:\n");
            }
            for var in vars {
                let flag = match var.flag {
                    Some(flag) => flag.to_owned(),
                    None => format!("{}_FILE", var.name),
                };
                let _ = writeln!(out, "  {:<30} {flag}", var.name);
                let default = match var.default {
                    Some(default) => format!(" (default {default})"),
                    None => String::new(),
                };
                let _ = writeln!(out, "      {}{default}", var.meaning);
            }
            if matches!(command.name, "send" | "run" | "template" | "check") {
                out.push_str(
                    "  AWS_*, HTTPS_PROXY, NO_PROXY\n      credentials, region, endpoint, as the \
                     AWS SDKs read them\n",
                );
            }
        }
    }
    out
}

/// The table of settings, in Markdown, as it stands in the README.
pub fn markdown() -> String {
    let mut out =
        "| name | flag | default | used by | meaning |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for var in VARS {
        let name = match var.is_secret() {
            true => format!("`{}` (`_FILE`)", var.name),
            false => format!("`{}`", var.name),
        };
        let flag = var.flag.map(|flag| format!("`{flag}`")).unwrap_or_default();
        let default = var.default.map(|value| format!("`{value}`")).unwrap_or_default();
        let used_by = var.used_by.join(" ");
        let _ = writeln!(out, "| {name} | {flag} | {default} | {used_by} | {} |", var.meaning);
    }
    out
}
