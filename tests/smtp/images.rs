//! Images that a mail brings along, and QR codes of what its data says.

use super::{Rig, write};
use crate::support::batches::{accepted, batch, cause, message, why};
use crate::support::tools::qr_code;
use mailparse::{MailHeaderMap as _, ParsedMail};
use mailroom::mail::ends::Transport as _;
use mailroom::mail::model::Cause;

/// A picture of one white pixel, as programs write it.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\xff\xff\xff\0\0\0!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

fn shape(part: &ParsedMail<'_>) -> String {
    let parts: Vec<String> = part.subparts.iter().map(shape).collect();
    let media = part.ctype.mimetype.clone();
    if parts.is_empty() { media } else { format!("{media}({})", parts.join(", ")) }
}

#[test]
fn a_mail_brings_the_images_that_its_html_names_and_qr_codes_of_its_data() {
    let rig = Rig::plain();
    std::fs::write(rig.dir.path().join("logo.gif"), PIXEL).unwrap();
    let html = "<img src=\"cid:logo.gif\">{% for t in tickets %}\
                <img src=\"cid:qr.tickets.{{ loop.index0 }}.code\">{% endfor %}<p>{{ login }}</p>";
    write(rig.dir.path(), "activationv1.html", html);
    let mut three = batch(2);
    three.messages[0].data =
        Some(r#"{"tickets": [{"code": "https://a.example/t?\u00e9=1"}, {"code": 42}]}"#.into());
    // What data says is no name of an image.
    three.messages[0].login = "\"cid:gone.png\"".into();
    three.messages[1].data = Some(r#"{"tickets": []}"#.into());
    // Another kind has no image.
    three.messages.push(message(2, 2));
    assert!(rig.smtp().send(&three).iter().all(accepted));
    let mails = rig.server.mails();
    let mail = mailparse::parse_mail(mails[0].raw.as_bytes()).unwrap();
    assert_eq!(
        shape(&mail),
        "multipart/alternative(text/plain, \
         multipart/related(text/html, image/gif, image/png, image/png))"
    );
    let related = &mail.subparts[1];
    let header = |at: usize, name: &str| related.subparts[at].headers.get_first_value(name);
    assert_eq!(related.subparts[1].get_body_raw().unwrap(), PIXEL);
    for (at, name) in ["logo.gif", "qr.tickets.0.code", "qr.tickets.1.code"].iter().enumerate() {
        assert_eq!(header(at + 1, "Content-ID").unwrap(), format!("<{name}>"));
        assert!(header(at + 1, "Content-Disposition").unwrap().starts_with("inline"));
    }
    let code = |at: usize| qr_code(&related.subparts[at].get_body_raw().unwrap());
    assert_eq!((code(2).as_str(), code(3).as_str()), ("https://a.example/t?\u{e9}=1", "42"));
    assert!(mails.iter().all(|mail| mail.raw.lines().all(|line| line.len() <= 998)));
    let shapes: Vec<String> = mails[1..]
        .iter()
        .map(|mail| shape(&mailparse::parse_mail(mail.raw.as_bytes()).unwrap()))
        .collect();
    assert_eq!(
        shapes,
        [
            "multipart/alternative(text/plain, multipart/related(text/html, image/gif))",
            "multipart/alternative(text/plain, text/html)",
        ]
    );
}

#[test]
fn an_image_that_is_not_there_holds_its_kind_and_nothing_else() {
    let rig = Rig::plain();
    write(rig.dir.path(), "activationv1.html", "<img src=\"cid:logo.gif\"><img src='cid:qr.t'>");
    let mut two = batch(1);
    two.messages.push(message(2, 1));
    let mut smtp = rig.smtp();
    let outcomes = smtp.send(&two);
    assert_eq!(cause(&outcomes[0]), Cause::Template);
    assert!(why(&outcomes[0]).contains("activationv1.html: cid:logo.gif: "), "{outcomes:?}");
    assert!(accepted(&outcomes[1]), "{outcomes:?}");
    // It is read again at the next try.
    std::fs::write(rig.dir.path().join("logo.gif"), PIXEL).unwrap();
    let outcomes = smtp.send(&two);
    assert!(why(&outcomes[0]).contains("cid:qr.t: the data has no such value"), "{outcomes:?}");
    two.messages[0].data = Some(r#"{"t": "x"}"#.into());
    assert!(smtp.send(&two).iter().all(accepted));
}
