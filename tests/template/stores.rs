//! Templates where they are not at SES: files for SMTP, aliases at Postmark; and what SES takes none of.

use super::{NAMES, own, push, template};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::postmark::API_TOKEN;
use crate::support::program::{Finished, Program};
use serde_json::{Value, json};
use std::path::Path;

fn smtp(dir: &Path, words: &[&str]) -> Finished {
    let words: Vec<&str> = ["template"].iter().chain(words).copied().collect();
    Program::new(&words)
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_TEMPLATE_DIR", dir)
        .output()
}

#[test]
fn files_are_listed_checked_and_shown_without_a_server_and_pushed_nowhere() {
    let dir = own();
    let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    for (end, text) in [("subject", "Hallo"), ("txt", "{{login}}"), ("html", "<p>{{secret}}")] {
        write(&format!("activationv1.de.{end}"), text);
    }
    let listed = smtp(dir.path(), &["list"]);
    assert_eq!(listed.code, Some(0), "{}", listed.log);
    let lines: Vec<Vec<&str>> =
        listed.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["activationv1", "action", "1"],
            vec!["activationv1.ar", "action", "1"],
            vec!["activationv1.de", "action", "1"],
            vec!["invoice"],
            vec!["invoice.ar"],
            vec!["passwordrecoveryv1", "action", "2"],
            vec!["passwordrecoveryv1.ar", "action", "2"],
        ]
    );
    let good = smtp(dir.path(), &["check"]);
    let said = "activationv1 good (action 1)\nactivationv1.ar good (action 1)\n\
                activationv1.de good (action 1)\npasswordrecoveryv1 good (action 2)\n\
                passwordrecoveryv1.ar good (action 2)\n";
    assert_eq!((good.code, good.out.as_str()), (Some(0), said), "{}", good.log);
    assert!(smtp(dir.path(), &["show", "activationv1.de"]).out.starts_with("Subject: Hallo\n"));
    assert_eq!(smtp(dir.path(), &["show", "activationv1.fr"]).code, Some(65));
    let pushed = smtp(dir.path(), &["push"]);
    assert_eq!(pushed.code, Some(65));
    assert!(pushed.log.contains("there is nowhere to push them"), "{}", pushed.log);
    write("activationv1.de.txt", "{{name}}");
    write("passwordrecoveryv1.html", "{% if %}");
    let bad = smtp(dir.path(), &["check"]);
    let said = "activationv1 good (action 1)\nactivationv1.ar good (action 1)\n\
                passwordrecoveryv1.ar good (action 2)\n";
    assert_eq!((bad.code, bad.out.as_str()), (Some(78), said));
    for part in
        ["activationv1.de (action 1) activationv1.de.txt, line 1: undefined", "syntax error"]
    {
        assert!(bad.log.contains(part), "{}", bad.log);
    }
    let gone = smtp("/nowhere".as_ref(), &["list"]);
    assert_eq!(gone.code, Some(74));
    assert!(gone.log.contains("/nowhere cannot be read"), "{}", gone.log);
}

fn postmark(endpoint: &Endpoint, dir: &Path, words: &[&str]) -> Finished {
    let words: Vec<&str> = ["template"].iter().chain(words).copied().collect();
    Program::new(&words)
        .env("MAILROOM_TRANSPORT", "postmark")
        .env("MAILROOM_POSTMARK_TOKEN", API_TOKEN)
        .env("MAILROOM_POSTMARK_URL", endpoint.url())
        .env("MAILROOM_TEMPLATE_DIR", dir)
        .output()
}

fn said(body: Value) -> Reply {
    Reply::Full(if body["ErrorCode"].is_null() { 200 } else { 422 }, Vec::new(), body.to_string())
}

#[test]
fn files_become_templates_at_postmark_by_the_names_that_it_takes() {
    let (endpoint, dir) = (Endpoint::start(), own());
    // The first is new there, and the rest is replaced.
    endpoint.push(said(json!({ "ErrorCode": 1101, "Message": "not found" })));
    endpoint.set(said(json!({ "TemplateId": 1 })));
    let pushed = postmark(&endpoint, dir.path(), &["push"]);
    assert_eq!(pushed.code, Some(0), "{}", pushed.log);
    let done = "activationv1 created\nactivationv1.ar updated\ninvoice updated\ninvoice.ar updated\n\
         passwordrecoveryv1 updated\npasswordrecoveryv1.ar updated\n";
    assert_eq!(pushed.out, done);
    let requests = endpoint.requests();
    let asked: Vec<(&str, &str)> =
        requests.iter().map(|one| (one.method.as_str(), one.path.as_str())).collect();
    assert_eq!(
        asked,
        [
            ("PUT", "/templates/activationv1"),
            ("POST", "/templates"),
            ("PUT", "/templates/activationv1.ar"),
            ("PUT", "/templates/invoice"),
            ("PUT", "/templates/invoice.ar"),
            ("PUT", "/templates/passwordrecoveryv1"),
            ("PUT", "/templates/passwordrecoveryv1.ar"),
        ]
    );
    let body = requests[4].json();
    assert_eq!((&body["Alias"], &body["Name"]), (&json!("invoice.ar"), &json!("invoice.ar")));
    assert!(body["HtmlBody"].as_str().unwrap().contains("dir=\"rtl\""), "{body}");
    let (subject, text) = (&body["Subject"], body["TextBody"].as_str().unwrap());
    assert!(subject.as_str().unwrap().contains("{{number}}") && text.contains("{{name}}"));

    let aliases = NAMES.iter().chain(&["invoice.ar"]).map(|alias| json!({ "Alias": alias }));
    endpoint.set(said(json!({ "Templates": aliases.collect::<Vec<_>>() })));
    let listed = postmark(&endpoint, dir.path(), &["list"]);
    assert!(listed.out.contains("invoice.ar\n"), "{}", listed.out);
    endpoint.set(said(json!({ "Subject": "Hi", "TextBody": "text", "HtmlBody": "" })));
    let shown = postmark(&endpoint, dir.path(), &["show", "invoice.ar"]);
    assert_eq!(shown.out, "Subject: Hi\n\n--- text ---\ntext\n\n--- html ---\n(none)\n");
    endpoint.set(said(json!({ "ErrorCode": 10, "Message": "No API token" })));
    let refused = postmark(&endpoint, dir.path(), &["push"]);
    assert_eq!(refused.code, Some(65));
    assert!(refused.log.contains("putting the template activationv1 failed: No API token"));
    endpoint.set(Reply::Reset);
    assert_eq!(postmark(&endpoint, dir.path(), &["list"]).code, Some(69));
}

#[test]
fn ses_is_given_no_images_and_no_names_that_it_does_not_take() {
    let endpoint = Endpoint::start();
    let (dir, long) = (own(), "x".repeat(62));
    let html = std::fs::read_to_string(dir.path().join("invoice.ar.html")).unwrap();
    std::fs::write(dir.path().join("invoice.ar.html"), html + "<img src='cid:logo.png'>").unwrap();
    let refused = push(&endpoint.url(), dir.path());
    assert_eq!(refused.code, Some(65));
    let why =
        "invoice.ar: its HTML shows the image cid:logo.png, and templates at SES bring no files";
    assert!(refused.log.contains(why), "{}", refused.log);
    for (file, why) in [
        (format!("{long}.de"), "SES takes names of at most 64 characters"),
        ("a.b.c".to_owned(), "is no name of a template"),
        ("a.toolong".to_owned(), "is no name of a template"),
        ("a b".to_owned(), "is no name of a template"),
    ] {
        let dir = own();
        for end in ["subject", "txt"] {
            std::fs::write(dir.path().join(format!("{file}.{end}")), "x").unwrap();
        }
        let refused = push(&endpoint.url(), dir.path());
        assert_eq!(refused.code, Some(65), "{}", refused.log);
        assert!(
            refused.log.contains(&format!("{file}.subject is no name"))
                || refused.log.contains(why),
            "{}",
            refused.log
        );
    }
    assert!(endpoint.requests().is_empty());
    assert_eq!(template(&endpoint.url(), &["preview"]).code, Some(64));
}
