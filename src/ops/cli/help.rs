//! The help texts: what the commands are for, and the settings they read.

use crate::ops::config::VARS;
use std::fmt::Write as _;

/// One command, for help: a file in `help/`, with its words, a line on what it does, more, if that needs
/// saying, and an example, which is indented; blank lines between them.
pub struct CommandHelp {
    /// What it is about.
    pub group: &'static str,
    /// Its name.
    pub name: &'static str,
    text: &'static str,
}

impl CommandHelp {
    /// Its words.
    pub fn usage(&self) -> &'static str {
        self.text.split("\n\n").next().unwrap_or_default()
    }

    /// What it does, in one line.
    pub fn summary(&self) -> &'static str {
        self.text.split("\n\n").nth(1).unwrap_or_default().trim_end()
    }

    /// One that works.
    pub fn example(&self) -> &'static str {
        self.text.trim_end().rsplit_once("\n\n  ").map_or("", |(_, example)| example)
    }
}

macro_rules! commands {
    ($($group:literal: $($name:literal)*;)*) => {
        &[$($(CommandHelp {
            group: $group,
            name: $name,
            text: include_str!(concat!("help/", $name, ".txt")),
        }),*),*]
    };
}

/// All commands, in the order of the documents.
pub const COMMANDS: &[CommandHelp] = commands! {
    "The database": "migrate";
    "Sending": "run" "collect" "send" "mail";
    "Lists": "list" "publish";
    "The provider": "check" "template";
    "Operating": "status" "queue" "health" "verify" "help";
};

/// The help text, on one command or all.
pub fn help(command: Option<&str>) -> String {
    let mut out = String::new();
    match command.and_then(|name| COMMANDS.iter().find(|command| command.name == name)) {
        None => {
            out.push_str("mailroom sends the mails that a PostgreSQL database asks for: mailroom COMMAND\n\n");
            let mut group = "";
            for one in COMMANDS {
                if group != one.group {
                    group = one.group;
                    let _ = writeln!(out, "{group}:");
                }
                let _ = writeln!(out, "  {:<10} {}", one.name, one.summary());
                let _ = writeln!(out, "  {:<10} $ {}", "", one.example());
            }
            out.push_str(
                "\n`mailroom help COMMAND` shows its settings. Every setting is an environment \
                 variable;\nevery one that is no secret is a flag too. A secret X may stand in a \
                 file named by X_FILE.\n\
                 mailroom --env-file FILE COMMAND reads variables from a file, as systemd's \
                 EnvironmentFile does,\nbefore those of the environment.\n",
            );
        }
        Some(command) => {
            out.push_str(command.text);
            let mut heading = "\nSettings:\n";
            for var in VARS.iter().filter(|var| var.used_by.contains(&command.name)) {
                out.push_str(std::mem::take(&mut heading));
                let flag = var.flag.map_or_else(|| format!("{}_FILE", var.name), str::to_owned);
                let _ = writeln!(out, "  {:<30} {flag}", var.name);
                let default = var.default.map(|default| format!(" (default {default})"));
                let _ = writeln!(out, "      {}{}", var.meaning, default.unwrap_or_default());
            }
            if matches!(command.name, "send" | "run" | "template" | "check") {
                out.push_str(
                    "  AWS_*, HTTPS_PROXY, NO_PROXY\n      credentials, region, endpoint, as \
                     botocore reads them\n",
                );
            }
        }
    }
    out
}
