//! What a mail of a list says of it, at SMTP and at Postmark; with SES it is in `publish.rs`.

use super::{database, subscribers, token_of};
use crate::support::endpoint::Endpoint;
use crate::support::mailserver::MailServer;
use crate::support::postmark::API_TOKEN;
use crate::support::program::{PATIENCE, Program, wait_until};
use std::path::Path;

const PUBLISH: &str = "SELECT publish('news', 'weekly', 'a', '{\"title\": \"Snow\"}')";

#[test]
fn a_mail_by_smtp_has_the_headers_and_a_link_in_its_body() {
    let (database, server, dir) = (database(), MailServer::plain(), tempfile::tempdir().unwrap());
    subscribers(&database, 2);
    for name in ["activationv1", "passwordrecoveryv1", "weekly"] {
        for (ending, text) in [
            ("subject", "{{ title }}"),
            ("txt", "{{ title }} {{ plan }}\nLeave: {{ unsubscribe }}\n"),
            ("html", "<h1>{{ title }}</h1><a href=\"{{ unsubscribe }}\">Leave</a>\n"),
        ] {
            let text = if name == "weekly" { text } else { "x\n" };
            std::fs::write(dir.path().join(format!("{name}.{ending}")), text).unwrap();
        }
    }
    let run = Program::new(&["run"])
        .on(&database)
        .window(100)
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_SMTP_URL", server.url("", Path::new("")))
        .env("MAILROOM_TEMPLATE_DIR", dir.path())
        .env("MAILROOM_SES_SOURCE", "News <news@example.com>")
        .start();
    database.run(PUBLISH);
    database.recovery("ann");
    wait_until("the mails are there", || server.mails().len() == 3);
    assert_eq!(run.stop().code, Some(0));
    for mail in server.mails() {
        let Some(list) = mail.header("List-Id") else {
            assert!(mail.header("To").unwrap().contains("ann@"), "a recovery is of no list");
            assert_eq!(mail.header("List-Unsubscribe"), None);
            continue;
        };
        let to = mail.header("To").unwrap();
        let link = format!("https://example.com/unsubscribe?token={}", token_of(&database, &to));
        assert_eq!(list, "<news.example.com>");
        assert_eq!(mail.header("List-Unsubscribe").unwrap(), format!("<{link}>"));
        assert_eq!(mail.header("List-Unsubscribe-Post").unwrap(), "List-Unsubscribe=One-Click");
        let (text, html) = mail.bodies();
        assert!(text.contains(&link), "{text}");
        assert!(html.contains("Leave</a>"), "{html}");
    }
}

#[test]
fn postmark_gets_the_headers_and_sends_through_the_stream_for_many() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 1);
    let run = Program::new(&["run"])
        .on(&database)
        .window(100)
        .env("MAILROOM_TRANSPORT", "postmark")
        .env("MAILROOM_POSTMARK_TOKEN", API_TOKEN)
        .env("MAILROOM_POSTMARK_URL", endpoint.url())
        .env("MAILROOM_SES_SOURCE", "news@example.com")
        .start();
    database.recovery("ann");
    database.run(PUBLISH);
    endpoint.wait_for(2, PATIENCE);
    assert_eq!(run.stop().code, Some(0));
    let messages: Vec<_> = endpoint
        .requests()
        .iter()
        .flat_map(|request| request.json()["Messages"].as_array().unwrap().clone())
        .collect();
    let link = format!(
        "<https://example.com/unsubscribe?token={}>",
        token_of(&database, "s1@example.com")
    );
    for message in &messages {
        if message["To"] == "ann@example.com" {
            assert_eq!((message.get("Headers"), message.get("MessageStream")), (None, None));
            continue;
        }
        assert_eq!(message["MessageStream"], "broadcast");
        assert_eq!(
            message["Headers"],
            serde_json::json!([
                { "Name": "List-Id", "Value": "<news.example.com>" },
                { "Name": "List-Unsubscribe", "Value": link },
                { "Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click" },
            ])
        );
    }
}
