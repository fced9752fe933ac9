//! The templates of issues: whether they can be filled, and show the way out.

use super::{database, subscribers};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::postmark::API_TOKEN;
use crate::support::program::{Finished, Program};
use serde_json::{Value, json};
use std::path::Path;

fn check(database: &Database, transport: &str, dir: &Path, url: &str) -> Finished {
    Program::new(&["template", "check"])
        .on(database)
        .env("MAILROOM_TRANSPORT", transport)
        .env("MAILROOM_TEMPLATES", "1=account")
        .env("MAILROOM_TEMPLATE_DIR", dir)
        .env("MAILROOM_POSTMARK_TOKEN", API_TOKEN)
        .env("MAILROOM_POSTMARK_URL", url)
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        .output()
}

/// A list with an issue, and files for what is sent besides.
fn published() -> (Database, tempfile::TempDir) {
    let (database, dir) = (database(), tempfile::tempdir().unwrap());
    subscribers(&database, 4);
    database.run("UPDATE lists SET unsubscribe = 'https://example.org/unsubscribe?token='");
    database.run(
        "SELECT publish_test('news', 'weekly', 'me@example.com');
         SELECT publish('news', 'weekly', 'a', '{\"title\": \"Snow\"}', filter => '{\"n\": 2}');
         UPDATE kinds SET template = 'account' WHERE kind <> 'news'",
    );
    for name in ["account", "weekly"] {
        for end in ["subject", "txt", "html"] {
            std::fs::write(dir.path().join(format!("{name}.{end}")), "x").unwrap();
        }
    }
    (database, dir)
}

#[test]
fn a_template_of_an_issue_without_a_visible_way_out_is_refused() {
    let (database, dir) = published();
    let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    let link = "<p>Snow <A class=x HREF=\"{{ unsubscribe }}\"><b>Leave</b></a></p>";
    let text = "{{ title }} for {{ plan }}: {{ unsubscribe }}";
    for (html, text, good) in [
        (link, text, true),
        (link, "{{ title }}", false),
        ("<p>Snow</p>", text, false),
        ("<p>{{ unsubscribe }}</p>", text, false),
        ("<!-- <a href=\"{{ unsubscribe }}\">Leave</a> --><p>Snow</p>", text, false),
        ("<a href=\"{{ unsubscribe }}\"> </a>", text, false),
        ("<a style=\"display: none\" href=\"{{ unsubscribe }}\">Leave</a>", text, false),
        ("<abbr title=\"{{ unsubscribe }}\">Leave</abbr>", text, false),
    ] {
        write("weekly.txt", text);
        write("weekly.html", html);
        let found = check(&database, "smtp", dir.path(), "http://127.0.0.1:9");
        assert_eq!(found.code, Some(if good { 0 } else { 78 }), "{html:?}: {}", found.log);
        let said = "template weekly (kind news) is of a list and shows no link to leave it";
        assert_eq!(found.log.contains(said), !good, "{html:?}: {}", found.log);
        assert_eq!(found.out.contains("weekly good (kind news)\n"), good, "{}", found.out);
        assert!(!found.out.contains("\nnews"), "issues name their templates: {}", found.out);
    }
    // What neither the issue nor its subscribers have.
    write("weekly.txt", "{{ unsubscribe }} {{ nosuch }}");
    let found = check(&database, "smtp", dir.path(), "http://127.0.0.1:9");
    assert!(found.log.contains("weekly.txt, line 1: undefined"), "{}", found.log);
    // The link is the list's own.
    write("weekly.txt", text);
    let links = ["https://example.com/leave?token=", "https://example.org/leave?token="];
    for (link, good) in links.into_iter().zip([false, true]) {
        database.run(&format!("UPDATE lists SET unsubscribe = '{link}'"));
        let found = check(&database, "smtp", dir.path(), "http://127.0.0.1:9");
        let said = "news) leads to example.com by lists.unsubscribe: put";
        assert_eq!(found.log.contains(said), !good, "{}", found.log);
    }
    // The one that the list itself names is looked at before there is an issue of it.
    write("weekly.txt", text);
    database.run("UPDATE kinds SET template = 'next' WHERE kind = 'news'");
    let found = check(&database, "smtp", dir.path(), "http://127.0.0.1:9");
    assert!(found.log.contains("template next (kind news) "), "{}", found.log);
}

#[test]
fn it_is_refused_as_ses_and_postmark_render_it() {
    let (database, dir) = published();
    for transport in ["ses", "postmark"] {
        let endpoint = Endpoint::start();
        let say = |body: Value| endpoint.push(Reply::Full(200, Vec::new(), body.to_string()));
        let mut link = "https://example.org/elsewhere".to_owned();
        for good in [false, true] {
            // As both escape it.
            let html = format!("<a href=\"{}\">Leave</a>", link.replace('=', "&#x3D;"));
            let mail = format!("Subject: x\r\nContent-Type: text/html\r\n\r\n{html}\r\n");
            let part = |text: &str| json!({ "ContentIsValid": true, "RenderedContent": text });
            say(json!({}));
            // One template is that of three kinds.
            for _ in ["account"; 3].iter().chain(&["weekly"]) {
                if transport == "postmark" {
                    say(json!({ "Subject": "x", "TextBody": "", "HtmlBody": "x" }));
                }
                say(json!({ "RenderedTemplate": mail, "HtmlBody": part(&html) }));
            }
            let found = check(&database, transport, dir.path(), &endpoint.url());
            assert_eq!(found.code, Some(if good { 0 } else { 78 }), "{}", found.log);
            assert!(found.out.starts_with("account good (action 1; kind "), "{}", found.out);
            assert_eq!(found.out.contains("weekly good (kind news)\n"), good);
            assert_eq!(found.log.contains("(kind news) is of a list and shows no link"), !good);
            let asked = endpoint.requests().last().unwrap().json();
            let data = match asked["TemplateData"].as_str() {
                Some(text) => serde_json::from_str(text).unwrap(),
                None => asked["TestRenderModel"].clone(),
            };
            assert_eq!((&data["title"], &data["plan"]), (&json!("title"), &json!("plan")));
            link = data["unsubscribe"].as_str().unwrap().to_owned();
        }
    }
}

#[test]
fn one_who_lacks_what_the_others_have_is_found_before_the_list_is_held() {
    let (database, dir) = published();
    database.run(
        "INSERT INTO subscribers (list, address, state, how)
         SELECT 'news', name || '@example.com', 'confirmed', 'import'
           FROM unnest('{ann,ben}'::text[]) AS name;
         UPDATE subscribers SET data = '{\"plan\": \"pro\"}' WHERE address LIKE 'ben@%';
         SELECT publish('news', 'weekly', 'b', '{\"title\": \"Snow\"}')",
    );
    let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    write("weekly.html", "<a href=\"{{ unsubscribe }}\">Leave</a>");
    for (plan, good) in
        [("{{ plan }}", false), ("{% if plan is defined %}{{ plan }}{% endif %}", true)]
    {
        write("weekly.txt", &format!("{{{{ title }}}} {plan} {{{{ unsubscribe }}}}"));
        let found = check(&database, "smtp", dir.path(), "http://127.0.0.1:9");
        assert_eq!(found.code, Some(if good { 0 } else { 78 }), "{plan}: {}", found.log);
        let why = "weekly (kind news) weekly.txt, line 1: undefined value";
        assert_eq!(found.log.contains(why), !good, "{}", found.log);
    }
}
