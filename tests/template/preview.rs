//! Pages of all mails, as each provider renders them, and what a browser makes of them.

use super::{own, push, template};
use crate::support::chromium::Chromium;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::peer::Peer;
use crate::support::postmark::API_TOKEN;
use crate::support::program::{Finished, Program};
use serde_json::json;
use std::path::Path;

const THREE: &str = "1=activationv1,2=passwordrecoveryv1,9=invoice";

fn smtp(templates: &Path, to: &Path) -> Finished {
    Program::new(&["template", "preview", to.to_str().unwrap()])
        .env("MAILROOM_TRANSPORT", "smtp")
        .env("MAILROOM_TEMPLATE_DIR", templates)
        .output()
}

/// The page and those in it fit windows of both widths, dark or not, and ask for nothing.
fn fits(dir: &Path, pages: &[&str]) {
    let Some(chromium) = Chromium::find() else { return };
    for page in ["index"].iter().chain(pages) {
        for (width, dark) in [(360, false), (360, true), (1200, false)] {
            let seen = chromium.look(&dir.join(format!("{page}.html")), width, dark);
            assert_eq!((seen.window, seen.content.0), (width, width), "{page}: {seen:#?}");
            assert!(seen.outside.is_empty(), "{page}: {:?}", seen.outside);
            // The frames of the index are files beside it.
            let frames = if *page == "index" { pages.len() as u32 } else { 0 };
            assert!(seen.asked <= frames, "{page}: {}", seen.asked);
        }
    }
}

#[test]
fn every_mail_in_every_language_is_a_page_that_fits_small_and_large_windows() {
    let (dir, to) = (own(), tempfile::tempdir().unwrap());
    let logo = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>";
    std::fs::write(dir.path().join("logo.svg"), logo).unwrap();
    let html = std::fs::read_to_string(dir.path().join("invoice.html")).unwrap();
    let images = "<h1><img src=\"cid:logo.svg\"><img src=\"cid:qr.number\">";
    std::fs::write(
        dir.path().join("invoice.html"),
        html.replace("<h1", &format!("{images}</h1><h1")),
    )
    .unwrap();
    let to = to.path().join("pages");
    let made = smtp(dir.path(), &to);
    assert_eq!(made.code, Some(0), "{}", made.log);
    assert_eq!(made.out, format!("{}\n", to.join("index.html").display()));
    let page = |name: &str| std::fs::read_to_string(to.join(format!("{name}.html"))).unwrap();
    let index = page("index");
    for part in ["Invoice 2026-17", "فاتورة 2026-18", "Hello john,", "kind invoice", "action 1"]
    {
        assert!(index.contains(part), "no {part} in {index}");
    }
    assert!(page("invoice.ar").contains("dir=\"rtl\"") && page("invoice.ar").contains("2026-18"));
    assert!(
        page("invoice").contains("\"data:image/svg+xml;base64,")
            && !page("invoice").contains("cid:")
    );
    let languages = ["activationv1.ar", "passwordrecoveryv1.ar", "invoice.ar"];
    fits(&to, &[&["activationv1", "passwordrecoveryv1", "invoice"], &languages[..]].concat());

    // What is wrong stands on the page, and the rest is there.
    std::fs::write(dir.path().join("invoice.ar.txt"), "<&>{{ due }}").unwrap();
    let made = smtp(dir.path(), &to);
    assert_eq!(made.code, Some(78));
    assert!(
        made.log.contains("template invoice.ar (kind invoice) invoice.ar.txt, line 1"),
        "{}",
        made.log
    );
    assert!(page("index").contains("invoice.ar.txt, line 1: undefined value"));
    assert!(page("index").contains("Invoice 2026-17"));

    // No template is written over.
    let refused = smtp(dir.path(), dir.path());
    assert_eq!(refused.code, Some(64), "{}", refused.log);
    assert!(refused.log.contains("holds templates"), "{}", refused.log);
}

#[test]
fn ses_renders_the_pages_itself() {
    let (peer, dir, to) = (Peer::start(), own(), tempfile::tempdir().unwrap());
    assert_eq!(push(&peer.url(), dir.path()).code, Some(0));
    let words = ["preview", to.path().to_str().unwrap(), "--templates", THREE, "--template-dir"];
    let words: Vec<&str> = words.into_iter().chain(dir.path().to_str()).collect();
    let made = template(&peer.url(), &words);
    assert_eq!(made.code, Some(0), "{}", made.log);
    let page =
        |name: &str| std::fs::read_to_string(to.path().join(format!("{name}.html"))).unwrap();
    // Its MIME is read: subjects, texts and HTML as they were meant.
    let index = page("index");
    for part in ["فاتورة 2026-18", "مرحبا ليلى،", "Invoice 2026-17", "action 9"] {
        assert!(index.contains(part), "no {part} in {index}");
    }
    let html = std::fs::read_to_string(dir.path().join("invoice.ar.html")).unwrap();
    let filled = html.replace("{{number}}", "2026-18").replace("{{total}}", "45.00 EUR");
    assert_eq!(page("invoice-ar").trim(), filled.trim());
    let languages = ["activationv1-ar", "passwordrecoveryv1-ar", "invoice-ar"];
    fits(to.path(), &[&["activationv1", "passwordrecoveryv1", "invoice"], &languages[..]].concat());
}

#[test]
fn postmark_renders_the_pages_itself() {
    let (endpoint, dir, to) = (Endpoint::start(), own(), tempfile::tempdir().unwrap());
    let said = |body: serde_json::Value| Reply::Full(200, Vec::new(), body.to_string());
    endpoint.push(said(json!({ "Templates": [{ "Alias": "activationv1" }] })));
    let template =
        json!({ "Subject": "s", "TextBody": "t", "HtmlBody": "<img src=\"cid:qr.login\">" });
    endpoint.push(said(template));
    let missing = json!({ "ErrorCode": 1101, "Message": "not found" }).to_string();
    endpoint.set(Reply::Full(422, Vec::new(), missing));
    let part = |text: &str| json!({ "ContentIsValid": true, "RenderedContent": text });
    let html = part("<p>Hi <img src=\"cid:qr.login\" alt=\"\"></p>");
    endpoint.push(said(json!({
        "Subject": part("Hi <john>"), "TextBody": part("the text"), "HtmlBody": html,
    })));
    std::fs::write(dir.path().join("activationv1.html"), "<img src=\"cid:qr.login\">").unwrap();
    let made = Program::new(&["template", "preview", to.path().to_str().unwrap()])
        .env("MAILROOM_TRANSPORT", "postmark")
        .env("MAILROOM_POSTMARK_TOKEN", API_TOKEN)
        .env("MAILROOM_POSTMARK_URL", endpoint.url())
        .env("MAILROOM_TEMPLATES", "1=activationv1")
        .env("MAILROOM_TEMPLATE_DIR", dir.path())
        .output();
    // The invoice has a file of data, and no template there.
    let why = "template invoice (kind invoice) is not at the provider";
    assert!(made.code == Some(78) && made.log.contains(why), "{}", made.log);
    let index = std::fs::read_to_string(to.path().join("index.html")).unwrap();
    assert!(index.contains("Hi &lt;john&gt;") && index.contains("the text"), "{index}");
    let page = std::fs::read_to_string(to.path().join("activationv1.html")).unwrap();
    assert!(page.starts_with("<p>Hi <img src=\"data:image/png;base64,"), "{page}");
}

#[test]
fn a_link_among_the_pages_leads_to_no_file_elsewhere() {
    let (dir, to) = (own(), tempfile::tempdir().unwrap());
    let template = dir.path().join("activationv1.html");
    let before = std::fs::read_to_string(&template).unwrap();
    std::os::unix::fs::symlink(&template, to.path().join("activationv1.html")).unwrap();
    let made = smtp(dir.path(), to.path());
    assert_eq!(std::fs::read_to_string(&template).unwrap(), before);
    assert!(made.log.contains("there is something that is not a file"), "{}", made.log);
}
