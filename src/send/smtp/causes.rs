//! What the answers of an SMTP server mean.

use crate::edges::smtp::session::{Fault, Stage};
use crate::mail::model::{Outcome, Scope};
use crate::mail::policy::{Fault as Class, reason, retry};
use std::time::Duration;

/// The shortest wait after a mail was put off: servers that greylist, or whose disk is full, want
/// a few minutes, and the attempts must last until then. <https://www.rfc-editor.org/rfc/rfc6647#section-2>
const GREYLISTED: Duration = Duration::from_secs(90);

/// The verdict on one message that an SMTP server did not take.
///
/// What comes before the recipient is no message's fault: it holds everything. At the recipient
/// and later, 4xx is for another time and 5xx for ever, unless the text says that the account is
/// meant. <https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1>
pub fn outcome(fault: &Fault) -> Outcome {
    let (stage, code, text) = match fault {
        Fault::NotReached(why) => return crate::mail::policy::fault(Class::NothingSent, why),
        Fault::Insecure(why) => {
            return Outcome::Hold { scope: Scope::All, why: reason("no secure connection", why) };
        }
        Fault::Lost(Stage::Dot, why) => return crate::mail::policy::fault(Class::Unknown, why),
        // The server was there but heard of no mail yet: no message is at fault.
        Fault::Lost(Stage::Greeting | Stage::Hello | Stage::Encryption | Stage::Login, why) => {
            return crate::mail::policy::fault(Class::NothingSent, why);
        }
        // It may be this message that makes the server give up: the attempts bound it.
        Fault::Lost(_, why) => return retry(reason("not sent", why), None, false, false),
        Fault::Refused(stage, code, text) => (*stage, *code, text),
    };
    let why = reason(&format!("{code} at {stage:?}").to_lowercase(), text);
    let text = without_hosts(&text.to_lowercase());
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let hold = |why| Outcome::Hold { scope: Scope::All, why };
    match (stage, code) {
        (Stage::Greeting | Stage::Hello | Stage::Encryption | Stage::Login, _) => hold(why),
        // Not logged in, or not well enough, whenever it is said. RFC 4954 section 6.
        (_, 530 | 534 | 535 | 538) => hold(why),
        _ if says(&["daily message quota", "daily sending", "sending limit", "sending quota"]) => {
            hold(why)
        }
        // The service is not available; on a connection that was used before it was tried again.
        (Stage::Sender, 421) => crate::mail::policy::away(why, None),
        (_, 400..=499) => {
            let throttled = says(&["throttl", "rate limit", "sending rate", "too fast"]);
            let patience = (!throttled).then_some(GREYLISTED);
            retry(why, patience, false, throttled)
        }
        // The sender's address is a setting.
        (Stage::Sender, _) => hold(why),
        // A server that will not pass mail on for us says so of every recipient.
        (_, 500..=599) if says(&NO_RELAY) => hold(why),
        (_, 500..=599) => Outcome::Reject { why },
        // An answer that fits no question.
        (Stage::Dot, _) => retry(why, None, true, false),
        _ => retry(why, None, false, false),
    }
}

/// What servers say that do not know us, or not our sender. Single words would be met in what a
/// server says of one recipient.
const NO_RELAY: [&str; 8] = [
    "relay access denied",
    "relay denied",
    "relaying denied",
    "relaying not",
    "relay not",
    "not permitted to relay",
    "unable to relay",
    "not verified",
];

/// A server's text without its words that hold a dot or an `@` inside: addresses and host names
/// are the recipient's choice, and must not steer what is done.
fn without_hosts(text: &str) -> String {
    let is_plain = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        !word.contains(['.', '@'])
    };
    text.split_whitespace().filter(is_plain).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_that_is_put_off_is_tried_again_when_greylisting_is_over() {
        let refused = |stage| outcome(&Fault::Refused(stage, 451, "try again later".into()));
        let Outcome::Retry { after, .. } = refused(Stage::Recipient) else { panic!() };
        assert_eq!(after, Some(GREYLISTED));
        let Outcome::Retry { after, .. } = refused(Stage::Dot) else { panic!() };
        assert_eq!(after, Some(GREYLISTED));
    }

    #[test]
    fn the_words_of_an_address_steer_nothing() {
        for (code, text) in [
            (550, "5.1.1 <x@privaterelay.appleid.com>: Recipient address rejected: no such user"),
            (550, "relay denied.example: no such host; <relay@not-verified.example>"),
            (554, "5.4.4 <nobody@relay.invalid>: domain not found"),
        ] {
            let fault = Fault::Refused(Stage::Recipient, code, text.to_owned());
            assert!(matches!(outcome(&fault), Outcome::Reject { .. }), "{text}");
        }
        for text in [
            "5.7.1 <ann@example.com>: Relay access denied",
            "5.7.1 Unable to relay for ann@example.com",
            "554 Message rejected: Email address is not verified.",
        ] {
            let fault = Fault::Refused(Stage::Recipient, 554, text.to_owned());
            assert!(matches!(outcome(&fault), Outcome::Hold { .. }), "{text}");
        }
        let slow = "4.7.1 <ann@throttle.example>: try again";
        let fault = Fault::Refused(Stage::Recipient, 450, slow.to_owned());
        assert!(matches!(outcome(&fault), Outcome::Retry { throttled: false, .. }));
    }
}
