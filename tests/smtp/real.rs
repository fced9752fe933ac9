//! The transport against Postfix and Exim.

use super::{smtp, smtp_on, templates};
use crate::support::batches::{TOKEN, accepted, batch, cause, message, why};
use crate::support::postfix::Postfix;
use crate::support::servers::exim::exim;
use mailroom::edges::stop::Stop;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome};
use mailroom::pump::system_clock;

#[test]
fn postfix_takes_our_mails_and_tells_recipients_apart() {
    let postfix = Postfix::start();
    let dir = templates();
    let mut smtp = smtp(&postfix.url(), dir.path(), &Stop::new()).unwrap();
    let mut five = batch(5);
    five.messages[1].login = "\u{1F600}\r\nBcc: eve@example.com\r\n.\r\n".into();
    five.messages[2] = message(2, 2);
    if postfix.whole {
        five.messages[3].email = "gone@example.com".into();
        five.messages[4].email = "later@example.com".into();
    }
    let outcomes = smtp.send(&five);
    assert!(outcomes[..3].iter().all(accepted), "{outcomes:?}");
    if postfix.whole {
        assert_eq!(cause(&outcomes[3]), Cause::Rejected);
        assert!(why(&outcomes[3]).starts_with("550 "));
        assert_eq!(cause(&outcomes[4]), Cause::Busy);
        assert!(why(&outcomes[4]).starts_with("450 at recipient: 4.2.0 "), "{outcomes:?}");
    }
    let ids: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Accepted { provider_id } => Some(provider_id.clone()),
            _ => None,
        })
        .collect();
    let mails = postfix.mails(ids.len());
    assert_eq!(mails.len(), ids.len());
    for id in &ids {
        let mail = mails.iter().find(|mail| mail.contains(&format!("Message-ID: <{id}>")));
        let mail = mailparse::parse_mail(mail.unwrap().as_bytes()).unwrap();
        assert!(!mail.headers.iter().any(|header| header.get_key() == "Bcc"));
        let text = mail.subparts[0].get_body().unwrap();
        assert!(text.contains(TOKEN), "{text}");
    }
    // The connection is kept, and still good.
    assert!(smtp.send(&batch(3)).iter().all(accepted));
    assert_eq!(postfix.mails(ids.len() + 3).len(), ids.len() + 3);
}

#[test]
fn postfix_that_will_not_relay_for_us_fails_no_message() {
    let postfix = Postfix::start();
    if !postfix.whole {
        // smtp-sink relays nothing and refuses nobody.
        return;
    }
    let dir = templates();
    let mut smtp = smtp(&postfix.url(), dir.path(), &Stop::new()).unwrap();
    let mut two = batch(2);
    two.messages[0].email = "user@other.example".into();
    let outcomes = smtp.send(&two);
    assert_eq!(cause(&outcomes[0]), Cause::Setup);
    assert!(why(&outcomes[0]).contains("Relay access denied"), "{outcomes:?}");
}

#[test]
fn what_postfix_says_of_us_at_the_recipient_fails_no_message() {
    for (settings, wanted, says) in [
        ("smtpd_client_restrictions = reject", Cause::Setup, "Client host rejected"),
        ("smtpd_sender_restrictions = reject", Cause::Sender, "Sender address rejected"),
        (
            "smtpd_relay_restrictions = defer_unauth_destination",
            Cause::Setup,
            "454 at recipient: 4.7.1 ",
        ),
    ] {
        let postfix = Postfix::with(settings);
        if !postfix.whole {
            return;
        }
        let dir = templates();
        let mut smtp = smtp(&postfix.url(), dir.path(), &Stop::new()).unwrap();
        let mut one = batch(1);
        if settings.contains("relay") {
            one.messages[0].email = "user@other.example".into();
        }
        let outcomes = smtp.send(&one);
        assert_eq!(cause(&outcomes[0]), wanted, "{settings}: {outcomes:?}");
        assert!(why(&outcomes[0]).contains(says), "{settings}: {outcomes:?}");
    }
    // A name without a dot is not said.
    let strict =
        "smtpd_helo_required = yes\nsmtpd_helo_restrictions = reject_non_fqdn_helo_hostname";
    let postfix = Postfix::with(strict);
    let dir = templates();
    let url = format!("{}&helo=box", postfix.url());
    let outcomes = smtp(&url, dir.path(), &Stop::new()).unwrap().send(&batch(1));
    assert!(outcomes.iter().all(accepted), "{outcomes:?}");
}

/// What Exim says of a mail that it leaves to its next queue run.
const LEFT: &str = "no immediate delivery: more than 10 messages received in one connection";

#[test]
fn exim_delivers_all_mails_at_once_if_a_connection_has_ten() {
    let Some(exim) = exim() else { return };
    let dir = templates();
    let on = |connections, mails| {
        let (url, stop) = (exim.url(), Stop::new());
        smtp_on(connections, mails, system_clock(), &url, dir.path(), &stop).unwrap()
    };
    assert!(on(2, 10).send(&batch(35)).iter().all(accepted));
    exim.wait("all are delivered", |exim| exim.delivered() == 35);
    assert!(!exim.log().contains(LEFT), "{}", exim.log());
    // Why it is ten.
    assert!(on(1, 100).send(&batch(35)).iter().all(accepted));
    exim.wait("ten more are delivered", |exim| exim.delivered() == 45);
    exim.wait("the others are left", |exim| exim.log().matches(LEFT).count() == 25);
}

#[test]
fn exim_tells_recipients_apart_in_groups() {
    let Some(exim) = exim() else { return };
    let dir = templates();
    let mut smtp = smtp(&exim.url(), dir.path(), &Stop::new()).unwrap();
    let mut ten = batch(10);
    ten.messages[0].email = "gone@example.com".into();
    ten.messages[4].email = "later@example.com".into();
    ten.messages[5].email = "gone@example.com".into();
    ten.messages[7].email = "j\u{f6}rg@example.com".into();
    let outcomes = smtp.send(&ten);
    for (number, outcome) in outcomes.iter().enumerate() {
        match number {
            0 | 5 => assert_eq!(cause(outcome), Cause::Rejected),
            4 => assert_eq!(cause(outcome), Cause::Busy),
            _ => assert!(accepted(outcome), "{number}: {outcome:?}"),
        }
    }
    exim.wait("all others are delivered", |exim| exim.delivered() == 7);
}
