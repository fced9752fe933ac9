//! What `send` and `run` need of an SMTP server.

use crate::mail::policy;
use crate::ops::cmd::check::Round;
use crate::ops::cmd::{names, used_by};
use crate::pump::system_clock;
use crate::send::smtp::{Server, load, reach};

pub(crate) fn check(round: &mut Round, server: &Server) {
    const NAME: &str = "mail server";
    let place = format!("{}:{}", server.host, server.port);
    let login = match server.login {
        Some(_) => "the login is accepted",
        None => "no login is set",
    };
    match reach(server, system_clock(), round.stop) {
        Ok(true) => {
            let detail = format!("{place} answers, encrypted and verified; {login}");
            round.checks.ok(NAME, detail);
        }
        Ok(false) if server.is_here() => {
            round.checks.ok(NAME, format!("{place} answers, on this machine; {login}"));
        }
        Ok(false) => {
            let detail = format!("{place} answers, not encrypted; {login}");
            let advice = "use smtps:// or tls=required: mails hold secrets";
            round.checks.warning(NAME, detail, advice);
        }
        Err(refusal) if policy::held(refusal.cause, 0).is_some() => {
            let advice = "see MAILROOM_SMTP_URL: encryption, authorities (ca=FILE), user, password";
            round.checks.misconfigured(NAME, format!("{place}: {}", refusal.why), advice);
        }
        Err(refusal) => {
            let advice = "see that host, port and firewall are right, and that the server runs";
            round.checks.unreachable(NAME, format!("{place}: {}", refusal.why), advice);
        }
    }
    templates(round);
}

fn templates(round: &mut Round) {
    if ["MAILROOM_TEMPLATES", "MAILROOM_TEMPLATE_DIR"].iter().any(|name| round.is_wrong(name)) {
        return round.checks.unknown("templates", "their settings are wrong");
    }
    for (_, template) in names(round.config) {
        let name = format!("template {template}");
        let of = used_by(round.config, template);
        match load(&round.config.template_dir, template) {
            Ok(()) => round.checks.ok(&name, format!("{of}: renders")),
            Err(why) => {
                let advice = "MAILROOM_TEMPLATE_DIR must hold NAME.subject, NAME.txt and \
                              NAME.html, with {{login}}, {{secret}} and {{code}} alone";
                round.checks.misconfigured(&name, format!("{of}: {why}"), advice);
            }
        }
    }
}
