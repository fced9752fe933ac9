//! Data, language, sender and place for answers, at each provider.

use super::{KINDS, database, mail};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::mailserver::MailServer;
use crate::support::postmark::API_TOKEN;
use crate::support::program::{PATIENCE, Program, Running, wait_until};
use serde_json::{Value, json};
use std::path::Path;

/// What is hard to carry.
const NASTY: &str = "\"q\" 'a'\n\r\n{{login}} {% raw %} </script><b>&amp; \\ \u{2028}\u{1F600}";

fn files(dir: &Path, name: &str) {
    for (ending, text) in [
        ("subject", "S {{ note }}"),
        ("txt", "T {{ note }}|{{ list[0].deep }}"),
        ("html", "<p>{{ note }}</p>{% for one in list %}<i>{{ one.deep }}</i>{% endfor %}"),
    ] {
        let text = format!("{text} {name}\n");
        std::fs::write(dir.join(format!("{name}.{ending}")), text).unwrap();
    }
}

fn smtp(database: &Database, server: &MailServer, dir: &Path) -> Running {
    // The templates that every one needs.
    for name in ["activationv1", "passwordrecoveryv1"] {
        for ending in ["subject", "txt", "html"] {
            std::fs::write(dir.join(format!("{name}.{ending}")), "x\n").unwrap();
        }
    }
    Program::new(&["run"])
        .on(database)
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_SMTP_URL", server.url("", Path::new("")))
        .env("MAILROOM_TEMPLATE_DIR", dir)
        .env("MAILROOM_SES_SOURCE", "Us <noreply@example.com>")
        .start()
}

fn postmark(database: &Database, endpoint: &Endpoint) -> Running {
    Program::new(&["run"])
        .on(database)
        .env("MAILROOM_BATCH_TIMEOUT", "100")
        .env("MAILROOM_TRANSPORT", "postmark")
        .env("MAILROOM_POSTMARK_TOKEN", API_TOKEN)
        .env("MAILROOM_POSTMARK_URL", endpoint.url())
        .env("MAILROOM_SES_SOURCE", "noreply@example.com")
        .start()
}

fn ses(database: &Database, endpoint: &Endpoint) -> Running {
    Program::run(database, &endpoint.url())
        .env("MAILROOM_SES_SOURCE", "Us <noreply@example.com>")
        .start()
}

fn nasty(database: &Database) {
    let data = json!({ "note": NASTY, "list": [{ "deep": NASTY }], "a{{b}}": null }).to_string();
    let sql = "SELECT send_mail('invoice_ready', 'ann@example.com', $1::text::jsonb)";
    database.client().execute(sql, &[&data]).unwrap();
}

#[test]
fn data_arrives_verbatim_or_escaped_in_every_provider() {
    let expected = json!({
        "login": "", "note": NASTY, "list": [{ "deep": NASTY }], "a{{b}}": null,
    });
    for start in [ses, postmark] {
        let (database, endpoint) = (database(), Endpoint::start());
        nasty(&database);
        let run = start(&database, &endpoint);
        assert_eq!(endpoint.wait_for(1, PATIENCE)[0].data, expected);
        assert_eq!(run.stop().code, Some(0));
    }
    let (database, server, dir) = (database(), MailServer::plain(), tempfile::tempdir().unwrap());
    nasty(&database);
    files(dir.path(), "invoice_ready");
    let run = smtp(&database, &server, dir.path());
    wait_until("the mail is there", || server.mails().len() == 1);
    assert_eq!(run.stop().code, Some(0));
    let mail = &server.mails()[0];
    let lines = NASTY.replace("\r\n", "\n");
    let (text, html) = mail.bodies();
    assert_eq!(text, format!("T {lines}|{lines} invoice_ready"));
    assert!(!html.contains("<b>") && !html.contains("</script>"), "{html}");
    assert!(html.contains("&lt;&#x2f;script&gt;&lt;b&gt;&amp;amp;"), "{html}");
    assert!(html.contains("{{login}}"), "what data says is no template: {html}");
    let subject = mail.header("Subject").unwrap();
    assert!(subject.contains("{{login}} {% raw %} </script>") && !subject.contains('\n'));
    let headers = mail.headers();
    assert_eq!(headers.iter().filter(|name| *name == "Subject").count(), 1, "{headers:?}");
}

#[test]
fn the_language_falls_back_from_the_locale_to_its_language_to_none() {
    let all = ["invoice_ready-de-AT", "invoice_ready-de", "invoice_ready"];
    let ask = |database: &Database| {
        mail(database, "'invoice_ready', 'ann@example.com', locale => 'de-AT'");
    };
    for there in 1..=3 {
        // SES: one call tells what is missing.
        let (database, endpoint) = (database(), Endpoint::start());
        for number in 1..there {
            endpoint.push(match number {
                1 => Reply::Statuses(vec![("TEMPLATE_NOT_FOUND", "no such template")]),
                // A stand-in.
                _ => Reply::Full(404, Vec::new(), "Not Found".into()),
            });
        }
        ask(&database);
        let run = ses(&database, &endpoint);
        assert_eq!(endpoint.wait_for(1, PATIENCE)[0].template, all[there - 1]);
        // It is remembered.
        let calls = endpoint.requests().len();
        ask(&database);
        assert_eq!(endpoint.wait_for(2, PATIENCE)[1].template, all[there - 1]);
        assert_eq!(endpoint.requests().len(), calls + 1);
        wait_until("both are settled", || database.in_state("sent") == 2);
        assert_eq!(run.stop().code, Some(0));

        // Postmark: of a message alone, or of the whole call.
        for whole in [false, true] {
            let (database, endpoint) = (super::database(), Endpoint::start());
            for _ in 1..there {
                let body = json!({ "ErrorCode": 1101, "Message": "no such alias" }).to_string();
                endpoint.push(match whole {
                    true => Reply::Full(422, Vec::new(), body),
                    false => Reply::Statuses(vec![("1101", "no such alias")]),
                });
            }
            ask(&database);
            let run = postmark(&database, &endpoint);
            let name = all[there - 1].replacen('-', ".", 1);
            assert_eq!(endpoint.wait_for(1, PATIENCE)[0].template, name);
            assert_eq!(endpoint.requests().len(), there);
            wait_until("it is settled", || database.in_state("sent") == 1);
            assert_eq!(run.stop().code, Some(0));
        }

        // SMTP: files.
        let (database, dir) = (super::database(), tempfile::tempdir().unwrap());
        let server = MailServer::plain();
        for name in &all[there - 1..] {
            files(dir.path(), &name.replacen('-', ".", 1));
        }
        mail(
            &database,
            "'invoice_ready', 'ann@example.com', '{\"note\": 1, \"list\": [{\"deep\": 2}]}', 'de_AT'",
        );
        let run = smtp(&database, &server, dir.path());
        wait_until("the mail is there", || server.mails().len() == 1);
        let name = all[there - 1].replacen('-', ".", 1);
        assert_eq!(server.mails()[0].bodies().0, format!("T 1|2 {name}"));
        assert_eq!(run.stop().code, Some(0));
    }
}

/// From and Reply-To of each mail, by recipient.
fn headers(mails: &[(String, Value, Value)]) -> Vec<(&str, &str, Option<&str>)> {
    let mut found: Vec<_> = mails
        .iter()
        .map(|(to, from, reply_to)| (to.as_str(), from.as_str().unwrap(), reply_to.as_str()))
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn the_sender_and_the_place_for_answers_reach_each_provider() {
    let ask = |database: &Database| {
        mail(database, "'invoice_ready', 'a@example.com'");
        mail(database, "'invoice_ready', 'b@example.com', reply_to => 'b-desk@example.com'");
        mail(database, "'order.shipped', 'c@example.com'");
        mail(database, "'order.shipped', 'd@example.com', reply_to => 'd-desk@example.com'");
    };
    let expected = [
        ("a@example.com", "Us <noreply@example.com>", None),
        ("b@example.com", "Us <noreply@example.com>", Some("b-desk@example.com")),
        ("c@example.com", "Shop <shop@example.net>", Some("help@example.net")),
        ("d@example.com", "Shop <shop@example.net>", Some("d-desk@example.com")),
    ];
    let plain = |text: &str| text.replace('"', "");

    let (database, endpoint) = (database(), Endpoint::start());
    ask(&database);
    let run = ses(&database, &endpoint);
    endpoint.wait_for(4, PATIENCE);
    assert_eq!(run.stop().code, Some(0));
    let mut mails = Vec::new();
    for request in endpoint.requests() {
        let body = request.json();
        for entry in body["BulkEmailEntries"].as_array().unwrap() {
            let to = entry["Destination"]["ToAddresses"][0].as_str().unwrap().to_owned();
            let from = plain(body["FromEmailAddress"].as_str().unwrap()).into();
            mails.push((to, from, body["ReplyToAddresses"][0].clone()));
        }
    }
    assert_eq!(headers(&mails), expected);

    let (database, endpoint) = (super::database(), Endpoint::start());
    ask(&database);
    let run = postmark(&database, &endpoint);
    endpoint.wait_for(4, PATIENCE);
    assert_eq!(run.stop().code, Some(0));
    let mut mails = Vec::new();
    for request in endpoint.requests() {
        for one in request.json()["Messages"].as_array().unwrap() {
            let from = plain(one["From"].as_str().unwrap());
            let from = if from == "noreply@example.com" { format!("Us <{from}>") } else { from };
            mails.push((
                one["To"].as_str().unwrap().to_owned(),
                from.into(),
                one["ReplyTo"].clone(),
            ));
        }
    }
    assert_eq!(headers(&mails), expected);

    let (database, server, dir) =
        (super::database(), MailServer::plain(), tempfile::tempdir().unwrap());
    for name in ["invoice_ready", "order-shipped"] {
        for ending in ["subject", "txt", "html"] {
            std::fs::write(dir.path().join(format!("{name}.{ending}")), "x\n").unwrap();
        }
    }
    ask(&database);
    let run = smtp(&database, &server, dir.path());
    wait_until("all are there", || server.mails().len() == 4);
    assert_eq!(run.stop().code, Some(0));
    let mut mails = Vec::new();
    let mut ids = Vec::new();
    for mail in server.mails() {
        let from = plain(&mail.header("From").unwrap());
        assert!(from.contains(&format!("<{}>", mail.from)), "{} {from}", mail.from);
        let reply_to = mail.header("Reply-To").map_or(Value::Null, Value::from);
        mails.push((mail.to.clone(), from.into(), reply_to));
        ids.push(mail.header("Message-ID").unwrap());
    }
    assert_eq!(headers(&mails), expected);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_sender_that_may_not_be_used_holds_its_own_kind_alone() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    database.run(KINDS);
    endpoint.set(Reply::Accept);
    let shop = mail(&database, "'order.shipped', 'c@example.com'");
    endpoint.push(Reply::error(
        400,
        "BadRequestException",
        "Email address is not verified. The following identities failed the check: shop@example.net",
    ));
    let run = ses(&database, &endpoint);
    wait_until("it is held", || {
        super::state(&database, shop) == ("pending".into(), Some("template".into()))
    });
    mail(&database, "'invoice_ready', 'a@example.com'");
    let mails = endpoint.wait_for(1, PATIENCE);
    assert_eq!(mails[0].to, "a@example.com");
    assert_eq!(run.stop().code, Some(0));
}
