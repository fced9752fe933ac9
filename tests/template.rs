//! The example mails, and `mailroom template` against a local SES that others wrote and against
//! one that says what it is told to.

#[cfg(all(feature = "postmark", feature = "smtp"))]
mod data;
#[cfg(all(feature = "postmark", feature = "smtp"))]
mod preview;
#[cfg(all(feature = "postmark", feature = "smtp"))]
mod stores;

use crate::support::endpoint::{Endpoint, Reply};
use crate::support::peer::Peer;
use crate::support::program::{Finished, Program};
use serde_json::json;
use std::path::{Path, PathBuf};

const NAMES: [&str; 2] = ["activationv1", "passwordrecoveryv1"];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

fn example(file: &str) -> String {
    std::fs::read_to_string(examples().join(file)).unwrap()
}

fn program(url: &str, words: &[&str]) -> Program {
    let words: Vec<&str> = ["template"].iter().chain(words).copied().collect();
    Program::new(&words)
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
}

fn template(url: &str, words: &[&str]) -> Finished {
    program(url, words).output()
}

fn push(url: &str, from: &Path) -> Finished {
    template(url, &["push", "--from", from.to_str().unwrap()])
}

/// A directory with copies of the examples.
fn copies() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(examples()).unwrap().flatten() {
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    dir
}

/// The same, with links to an application.
fn own() -> tempfile::TempDir {
    let dir = copies();
    for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        std::fs::write(entry.path(), text.replace("example.com", "example.org")).unwrap();
    }
    dir
}

#[test]
fn the_examples_load_nothing_and_hold_no_login_where_nothing_escapes_it() {
    for name in NAMES.iter().flat_map(|name| [(*name).to_owned(), format!("{name}.ar")]) {
        let html = example(&format!("{name}.html"));
        // What is hidden costs points at filters.
        let unwanted =
            ["src=", "url(", "@import", "<link", "<img", "<script", "background=", "display:none"];
        for remote in unwanted {
            assert!(!html.contains(remote), "{name}.html holds {remote}");
        }
        let links = html.matches("href=\"").count();
        assert_eq!(html.matches("href=\"https://example.com").count(), links, "{name}.html");
        let subject = example(&format!("{name}.subject"));
        assert!(!html.contains("{{login}}") && !subject.contains("{{login}}"), "{name}");
        assert!(html.contains("role=\"article\""), "{name}.html");
        let tables = html.matches("<table").count();
        assert_eq!(html.matches("role=\"presentation\"").count(), tables, "{name}.html");
        let text = example(&format!("{name}.txt"));
        assert!(text.contains("/{{secret}}\n"), "{name}.txt");
        // Whoever has users of their own has no login to greet with.
        assert_eq!(text.contains("{{login}}"), name.starts_with("activation"), "{name}.txt");
        for part in [html, subject, text] {
            let data = mailroom::mail::kind::data(&mailroom::mail::kind::example(1));
            let unsent = mailroom::mail::kind::unsent(&part, &data);
            assert_eq!(unsent, Vec::<String>::new(), "{name}");
        }
    }
    for part in ["html", "txt", "ar.html", "ar.txt"] {
        assert!(example(&format!("passwordrecoveryv1.{part}")).contains("{{code}}"), "{part}");
    }
}

#[test]
fn rspamd_counts_an_even_number_of_links_in_each_example() {
    // URI_COUNT_ODD: a point for an odd number in both parts; a link that shows its address is two.
    for name in NAMES
        .into_iter()
        .chain(["invoice"])
        .flat_map(|name| [name.to_owned(), format!("{name}.ar")])
    {
        let count = |end| example(&format!("{name}.{end}")).matches("example.com").count();
        assert_eq!((count("txt") + count("html")) % 2, 0, "{name}");
    }
}

#[test]
fn each_example_is_there_from_left_to_right_and_from_right_to_left() {
    for name in NAMES.iter().chain(&["invoice"]) {
        for (ending, language) in
            [("", "lang=\"en\" dir=\"ltr\""), (".ar", "lang=\"ar\" dir=\"rtl\"")]
        {
            let html = example(&format!("{name}{ending}.html"));
            // A reader in the web keeps nothing of the page itself.
            assert_eq!(html.matches(language).count(), 3, "page, outer table, article: {name}");
            // What is put in has a direction of its own, and nothing that a person chose is in it.
            let body = html.split_once("<body").unwrap().1;
            let shown = body.matches("{{").count() - body.matches("/{{").count();
            assert_eq!(body.matches("<bdi>{{").count(), shown, "{name}{ending}.html");
            assert!(!html.contains("{{name}}") && !html.contains("src="));
            assert!(!example(&format!("{name}{ending}.subject")).trim().is_empty());
        }
        // The address that is shown reads from the left.
        let html = example(&format!("{name}.ar.html"));
        let isolated = html.matches("<bdi dir=\"ltr\">https://").count();
        assert_eq!(isolated, html.matches(">https://").count(), "{name}.ar.html");
    }
    for invoice in ["invoice", "invoice.ar"] {
        assert!(example(&format!("{invoice}.subject")).contains("{{number}}"));
        assert!(example(&format!("{invoice}.txt")).contains("{{name}}"));
    }
}

#[test]
fn the_examples_are_pushed_checked_shown_and_updated() {
    let peer = Peer::start();
    let url = peer.url();

    let nothing = template(&url, &["list"]);
    assert_eq!(nothing.code, Some(0), "{}", nothing.log);
    for name in NAMES {
        assert!(nothing.out.contains(name), "{}", nothing.out);
    }
    assert_eq!(nothing.out.matches("not at the provider").count(), 2);
    let missing = template(&url, &["check"]);
    assert_eq!(missing.code, Some(78));
    assert!(missing.log.contains("template activationv1 (action 1) is not at the provider"));
    assert!(missing.log.contains("template passwordrecoveryv1 (action 2) is not at"));

    let created = push(&url, &examples());
    // All that is there, in its languages, by the names that SES takes.
    let all = [
        "activationv1",
        "activationv1-ar",
        "invoice",
        "invoice-ar",
        "passwordrecoveryv1",
        "passwordrecoveryv1-ar",
    ];
    assert_eq!(created.out, all.map(|name| format!("{name} created\n")).concat());
    assert_eq!(created.code, Some(0), "{}", created.log);
    for name in NAMES {
        assert!(created.log.contains(&format!("{name} leads to example.com")), "{}", created.log);
    }
    let examples = template(&url, &["check"]);
    assert_eq!((examples.code, examples.out.as_str()), (Some(78), ""));
    for (action, name) in NAMES.iter().enumerate() {
        let said = format!("template {name} (action {}) leads to example.com", action + 1);
        assert!(examples.log.contains(&said), "{}", examples.log);
    }

    let shown = template(&url, &["show", "activationv1"]).out;
    assert!(shown.starts_with("Subject: Activate your account\n\n--- text ---\nHello {{login}},"));
    assert!(shown.contains(example("activationv1.html").trim()), "{shown}");

    let copies = own();
    std::fs::write(copies.path().join("activationv1.subject"), "Hi\n").unwrap();
    let updated = push(&url, copies.path());
    assert_eq!(updated.out, all.map(|name| format!("{name} updated\n")).concat());
    assert!(!updated.log.contains("leads"), "{}", updated.log);
    let good = template(&url, &["check"]);
    let said = "activationv1 good (action 1)\nactivationv1-ar good (action 1)\n\
                passwordrecoveryv1 good (action 2)\npasswordrecoveryv1-ar good (action 2)\n";
    assert_eq!(good.out, said);
    assert_eq!(good.code, Some(0), "{}", good.log);
    assert!(template(&url, &["show", "activationv1"]).out.starts_with("Subject: Hi\n"));
    let listed = template(&url, &["list", "--templates", "1=activationv1,7=activationv1"]).out;
    let lines: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["activationv1", "action", "1,", "7"],
            vec!["activationv1-ar", "action", "1,", "7"],
            vec!["invoice"],
            vec!["invoice-ar"],
            vec!["passwordrecoveryv1"],
            vec!["passwordrecoveryv1-ar"]
        ]
    );
}

#[test]
fn more_templates_than_a_page_holds_are_listed() {
    let peer = Peer::start();
    for number in 0..205 {
        peer.template(&format!("t{number:03}"), "s", "t");
    }
    let out = template(&peer.url(), &["list"]).out;
    let listed: Vec<&str> = out.lines().filter(|line| line.starts_with('t')).collect();
    assert_eq!(listed.len(), 205);
    assert_eq!((listed[0], listed[204]), ("t000", "t204"));
}

#[test]
fn a_variable_that_is_not_sent_fails_the_check_by_name() {
    let peer = Peer::start();
    let copies = own();
    let html = example("activationv1.html").replace("Thank you", "Dear {{first_name}}, thank you");
    std::fs::write(copies.path().join("activationv1.html"), html).unwrap();
    assert_eq!(push(&peer.url(), copies.path()).code, Some(0));
    let finished = template(&peer.url(), &["check"]);
    assert_eq!(finished.code, Some(78));
    let good = "activationv1-ar good (action 1)\npasswordrecoveryv1 good (action 2)\n\
                passwordrecoveryv1-ar good (action 2)\n";
    assert_eq!(finished.out, good);
    assert!(
        finished
            .log
            .contains("template activationv1 (action 1) uses {{first_name}}, which is not sent"),
        "{}",
        finished.log
    );
}

#[test]
fn a_variable_is_named_as_ses_words_it() {
    let endpoint = Endpoint::start();
    let text = "Attribute 'name' is not present in the rendering data.";
    endpoint.push(Reply::Full(200, Vec::new(), "{}".into()));
    endpoint.push(Reply::error(400, "BadRequestException", text));
    endpoint.push(Reply::Full(200, Vec::new(), r#"{"RenderedTemplate":"Subject: x"}"#.into()));
    let finished = template(&endpoint.url(), &["check"]);
    assert_eq!(finished.code, Some(78));
    assert!(finished.log.contains("activationv1 (action 1) uses {{name}}"), "{}", finished.log);
    let requests = endpoint.requests();
    assert_eq!(requests[2].method, "POST");
    assert_eq!(requests[2].path, "/v2/email/templates/passwordrecoveryv1/render");
    let data = requests[2].json()["TemplateData"].as_str().unwrap().to_owned();
    // What `show --data` prints is what the check sends.
    let shown = template(&endpoint.url(), &["show", "passwordrecoveryv1", "--data"]);
    assert_eq!(shown.out.trim(), data);
    assert_eq!(endpoint.requests().len(), 3, "it needs no call");
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data["secret"].as_str().unwrap().len(), 86);
    assert_eq!((&data["login"], &data["code"]), (&json!("john"), &json!("01234")));
}

#[test]
fn calls_that_come_too_soon_are_made_again() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::error(429, "TooManyRequestsException", "Rate exceeded"));
    endpoint.push(Reply::error(400, "ThrottlingException", "Rate exceeded"));
    endpoint.set(Reply::Full(200, Vec::new(), "{}".into()));
    let finished = template(&endpoint.url(), &["check"]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(endpoint.requests().len(), 5);
}

#[test]
fn a_provider_that_refuses_or_is_not_there_is_status_69() {
    let endpoint = Endpoint::start();
    endpoint.set(Reply::error(403, "AccessDeniedException", "not authorized to ses:X"));
    for words in [&["list"][..], &["check"], &["show", "x"], &["push", "--from", "t"]] {
        let copies = copies();
        let words: Vec<&str> = words
            .iter()
            .map(|word| if *word == "t" { copies.path().to_str().unwrap() } else { word })
            .collect();
        let finished = template(&endpoint.url(), &words);
        assert_eq!(finished.code, Some(69), "{words:?}: {}", finished.log);
        assert!(
            finished.log.contains("failed: AccessDeniedException: not authorized to ses:X"),
            "{}",
            finished.log
        );
    }
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let finished = template(&format!("http://127.0.0.1:{port}"), &["check"]);
    assert_eq!(finished.code, Some(69));
    let text = "listing the templates failed: not sent: 127.0.0.1: ";
    assert!(finished.log.contains(text), "{}", finished.log);
}

#[test]
fn what_is_wrong_with_a_file_or_a_name_is_said_before_anything_is_called() {
    let endpoint = Endpoint::start();
    type Spoil = fn(&Path);
    let spoils: [(Spoil, i32, &str); 5] = [
        (
            |dir| std::fs::remove_file(dir.join("passwordrecoveryv1.subject")).unwrap(),
            65,
            "passwordrecoveryv1.subject must be there",
        ),
        (
            |dir| std::fs::write(dir.join("activationv1.subject"), "a\nb\n").unwrap(),
            65,
            "hold one line",
        ),
        (
            |dir| std::fs::write(dir.join("activationv1.txt"), [0xff]).unwrap(),
            65,
            "activationv1.txt is not UTF-8",
        ),
        (
            |dir| {
                std::fs::remove_file(dir.join("activationv1.txt")).unwrap();
                std::fs::remove_file(dir.join("activationv1.html")).unwrap();
            },
            65,
            "activationv1.txt or .html must be there",
        ),
        (
            |dir| {
                std::fs::remove_file(dir.join("activationv1.txt")).unwrap();
                std::fs::create_dir(dir.join("activationv1.txt")).unwrap();
            },
            74,
            "cannot be read",
        ),
    ];
    for (spoil, code, fault) in spoils {
        let copies = copies();
        spoil(copies.path());
        let finished = push(&endpoint.url(), copies.path());
        assert_eq!(finished.code, Some(code), "{}", finished.log);
        assert!(finished.log.contains(fault), "{}", finished.log);
    }
    let unknown = template(&endpoint.url(), &["show", "x", "--data"]);
    assert_eq!(unknown.code, Some(65), "{}", unknown.log);
    assert!(endpoint.requests().is_empty());

    endpoint.set(Reply::error(404, "NotFoundException", "Template x does not exist"));
    let unknown = template(&endpoint.url(), &["show", "x"]);
    assert_eq!(unknown.code, Some(65), "{}", unknown.log);
    assert!(unknown.log.contains("there is no template \"x\" at the provider"));
    let keyless = program(&endpoint.url(), &["list"]).without("AWS_ACCESS_KEY_ID").output();
    assert_eq!(keyless.code, Some(78), "{}", keyless.log);
    for words in [&[][..], &["peek"], &["show"], &["list", "more"]] {
        assert_eq!(template(&endpoint.url(), words).code, Some(64), "{words:?}");
    }
}

#[test]
fn an_old_token_and_a_wrong_clock_are_put_right_once() {
    let endpoint = Endpoint::start();
    endpoint.push(Reply::error(403, "ExpiredTokenException", "expired"));
    endpoint.push(Reply::Full(
        403,
        vec![
            ("date", "Sun, 22 Nov 2037 13:37:00 GMT".into()),
            ("x-amzn-errortype", "InvalidSignatureException".into()),
        ],
        r#"{"message":"Signature not yet current"}"#.into(),
    ));
    endpoint.set(Reply::Full(200, Vec::new(), "{}".into()));
    let finished = template(&endpoint.url(), &["check"]);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 5);
    for request in &requests[2..] {
        let date = request.header("x-amz-date").unwrap();
        assert!(date.starts_with("20371122T1337"), "{date}");
    }
    endpoint.set(Reply::error(403, "ExpiredTokenException", "expired"));
    let finished = template(&endpoint.url(), &["list"]);
    assert_eq!(finished.code, Some(69), "{}", finished.log);
    assert_eq!(endpoint.requests().len(), 7);
}
