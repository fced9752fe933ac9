//! The manual page, in the macros of man(7).

use super::words::{details, flags};
use mailroom::ops::cli::help::COMMANDS;
use mailroom::ops::config::VARS;
use std::fmt::Write as _;

/// When the words below were last changed.
const DATE: &str = "2026-11-28";

/// mailroom(1).
pub fn page() -> String {
    let mut out =
        ".\\\" Made by tests/generated.rs from the tables of commands and settings.\n".to_owned();
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(out, ".TH MAILROOM 1 \"{DATE}\" \"mailroom {version}\" \"User Commands\"");
    let _ =
        writeln!(out, ".SH NAME\nmailroom \\- send the mails that a PostgreSQL database asks for");
    out.push_str(".SH SYNOPSIS\n");
    let usages = COMMANDS.iter().flat_map(|command| command.usage().lines());
    let usages: Vec<String> = usages
        .map(|line| {
            format!(
                ".B {}
",
                text(line.trim())
            )
        })
        .collect();
    out.push_str(&usages.join(
        ".br
",
    ));
    out.push_str(DESCRIPTION);
    out.push_str(".SH COMMANDS\n");
    for command in COMMANDS {
        let _ = writeln!(out, ".SS {}\n{}", command.name, ended(command.summary()));
        if !details(command).is_empty() {
            let _ = writeln!(out, ".PP\n{}", text(&details(command)));
        }
        let _ = writeln!(out, ".PP\n.nf\n{}\n.fi", text(command.example()));
        let own: Vec<String> = flags(command)
            .iter()
            .filter(|flag| VARS.iter().any(|var| var.flag == Some(flag.name)))
            .map(|flag| format!("\\fB{}\\fR", text(flag.name)))
            .collect();
        if !own.is_empty() {
            let _ = writeln!(out, ".PP\nSettings as flags: {}.", own.join(",\n"));
        }
    }
    out.push_str(SETTINGS);
    for var in VARS {
        let name = text(var.name);
        let also = match var.flag {
            Some(flag) => format!("\\fB{}\\fR", text(flag)),
            None => format!("\\fB{name}_FILE\\fR"),
        };
        let _ = writeln!(out, ".TP\n\\fB{name}\\fR, {also}");
        let default = var.default.map(|value| format!(" The default is \\fB{}\\fR.", text(value)));
        let _ = writeln!(
            out,
            "{}.{}\nUsed by: {}.",
            text(var.meaning),
            default.unwrap_or_default(),
            var.used_by.join(", ")
        );
    }
    out.push_str(ENVIRONMENT);
    for (status, meaning) in exit_statuses() {
        let _ = writeln!(out, ".TP\n.B {status}\n{}.", text(&meaning));
    }
    out.push_str(END);
    out
}

/// The rows of the table in docs/REFERENCE.md.
fn exit_statuses() -> Vec<(String, String)> {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/REFERENCE.md");
    let document = std::fs::read_to_string(document).unwrap();
    let rows = document.lines().skip_while(|line| !line.starts_with("| exit status |")).skip(2);
    let rows =
        rows.map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    rows.map(|(status, meaning)| (status.to_owned(), meaning.to_owned())).collect()
}

/// A sentence.
fn ended(sentence: &str) -> String {
    text(sentence) + if sentence.ends_with(['.', '?', ')']) { "" } else { "." }
}

/// Text for the formatter: what it would take for its own words is escaped, what Markdown quotes
/// is bold.
fn text(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        let part = part.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        match index % 2 {
            1 => _ = write!(out, "\\fB{part}\\fR"),
            _ => out.push_str(&part),
        }
    }
    let safe = |line: &str| match line.starts_with('.') {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    };
    out.lines().map(safe).collect::<Vec<_>>().join("\n")
}

const DESCRIPTION: &str = r".SH DESCRIPTION
Triggers in a PostgreSQL database record that an account needs a mail, and notify.
.B mailroom
hears of it, claims what waits, signs a token for each, batches by size and time, and sends
templated bulk mail through Amazon SES, an SMTP server or Postmark.
The database is the only queue.
.PP
A token whose transaction committed, and that stays eligible, is sent at least once before it
expires, whatever crashes in between.
Any number of processes on any number of machines may share a queue.
";

const SETTINGS: &str = r".SH SETTINGS
A flag goes before the environment, the environment before the default.
.B mailroom \-\-env\-file FILE COMMAND
reads variables from a file as
.BR systemd.exec (5)
has it for
.BR EnvironmentFile ,
before those of the environment.
A secret has no flag; it may stand in a file that the variable with
.B _FILE
names, or under the name of the variable in
.BR $CREDENTIALS_DIRECTORY .
Everything that is wrong is reported at once, by name.
";

const ENVIRONMENT: &str = r#".SH ENVIRONMENT
Besides the settings:
.TP
\fBAWS_*\fR, \fBHTTPS_PROXY\fR, \fBNO_PROXY\fR
Credentials, region, endpoint and proxy, as botocore reads them.
.TP
\fBPG*\fR
What the connection string does not say, as libpq reads it.
.TP
\fBNOTIFY_SOCKET\fR, \fBWATCHDOG_USEC\fR, \fBWATCHDOG_PID\fR
Set by the service manager.
.BR collect ,
.B send
and
.B run
tell it when they are ready, what they do, that they make progress, and that they stop; see
.BR sd_notify (3).
.TP
\fBNO_COLOR\fR, \fBCOLUMNS\fR, \fBTERM\fR
How
.B status
and
.B check
are drawn.
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
Claim nothing more, finish, settle, and exit with status 0 within 8 seconds.
Another one, a second later or more, ends the process at once.
.SH EXIT STATUS
"#;

const END: &str = r".SH FILES
.TP
.I MAILROOM_SES_OUTPUT_PATH/undelivered.csv
What
.B send
without a database could not deliver, in the format that it reads.
.TP
.I MAILROOM_SES_OUTPUT_PATH/ses_YYYYmmddHHMMSS.mmm_N.http
Responses of the provider that were not a plain success.
.SH EXAMPLES
Bring the schema up to date, look whether all is there, and send:
.PP
.nf
export MAILROOM_DATABASE_URL='dbname=example'
export MAILROOM_SECRET_KEY_FILE=/etc/mailroom/secret\-key
mailroom migrate up
mailroom check
mailroom run
.fi
.PP
The same with a pipe between, acknowledged end to end:
.PP
.nf
export MAILROOM_ACK=sent
mailroom collect | mailroom send
.fi
.SH SEE ALSO
.BR psql (1),
.BR systemd.exec (5),
.BR sd_notify (3)
";
