//! The transport against a local SES that others wrote.

use super::Rig;
use crate::support::batches::{TOKEN, accepted, batch, cause, message};
use crate::support::peer::Peer;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::Cause;

#[test]
fn a_local_ses_renders_our_mails_from_its_templates() {
    let peer = Peer::start();
    let mut rig = Rig::new();
    rig.set("AWS_ENDPOINT_URL_SESV2", &peer.url());
    let text = "{{{login}}}|{{{secret}}}|{{{code}}}";
    peer.template("activationv1", "Activate, {{login}}", text);
    let mut both = batch(3);
    both.messages[1].login = "a,\"b\"\n\\\u{1F600}".into();
    both.messages[2] = message(2, 2);
    let outcomes = rig.ses().send(&both);
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[1]));
    // It has no second template yet.
    assert_eq!(cause(&outcomes[2]), Cause::Setup, "{outcomes:?}");

    peer.template("passwordrecoveryv1", "Recover", text);
    both.messages.drain(..2);
    assert!(rig.ses().send(&both).iter().all(accepted));

    let store = peer.store();
    let to: Vec<&str> =
        store.iter().map(|mail| mail["destination"]["to"][0].as_str().unwrap()).collect();
    assert_eq!(to, ["user0@example.com", "user1@example.com", "user2@example.com"]);
    assert_eq!(store[0]["subject"], "Activate, login0");
    assert_eq!(store[0]["from"], "noreply@example.com");
    let bodies: Vec<&str> =
        store.iter().map(|mail| mail["body"]["text"].as_str().unwrap()).collect();
    assert_eq!(bodies[0], format!("login0|{TOKEN}|"));
    assert_eq!(bodies[1], format!("a,\"b\"\n\\\u{1F600}|{TOKEN}|"));
    assert_eq!(bodies[2], format!("login2|{TOKEN}|01234"));
}
