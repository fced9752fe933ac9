//! What the answers of an SMTP server mean.

use crate::edges::smtp::session::{Fault, Stage};
use crate::mail::model::{Cause, Refusal};
use crate::mail::policy::{fault as lost, reason, refusal};
use std::time::Duration;

/// The shortest wait after a mail was put off: servers that greylist, or whose disk is full, want
/// a few minutes, and the attempts must last until then. <https://www.rfc-editor.org/rfc/rfc6647#section-2>
const GREYLISTED: Duration = Duration::from_secs(90);

/// The verdict on one message that an SMTP server did not take.
///
/// What comes before the recipient is no message's fault: it holds everything. At the recipient
/// and later, 4xx is for another time and 5xx for ever, unless the text says that the account is
/// meant. <https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1>
pub fn outcome(fault: &Fault) -> Refusal {
    let (stage, code, text) = match fault {
        Fault::NotReached(why) => return lost(false, why),
        Fault::Insecure(why) => {
            return refusal(Cause::Setup, reason("no secure connection", why), None);
        }
        Fault::Lost(Stage::Dot, why) => return lost(true, why),
        // The server was there but heard of no mail yet: no message is at fault.
        Fault::Lost(Stage::Greeting | Stage::Hello | Stage::Encryption | Stage::Login, why) => {
            return lost(false, why);
        }
        // It may be this message that makes the server give up: the attempts bound it.
        Fault::Lost(_, why) => return refusal(Cause::Fault, reason("not sent", why), None),
        Fault::Refused(stage, code, text) => (*stage, *code, text),
    };
    let why = reason(&format!("{code} at {stage:?}").to_lowercase(), text);
    let text = without_hosts(&text.to_lowercase());
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let cause = match (stage, code) {
        (Stage::Login, _) => Cause::Credentials,
        (Stage::Greeting | Stage::Hello | Stage::Encryption, _) => Cause::Setup,
        // Not logged in, or not well enough, whenever it is said. RFC 4954 section 6.
        (_, 530 | 534 | 535 | 538) => Cause::Credentials,
        _ if says(&["daily message quota", "daily sending", "sending limit", "sending quota"]) => {
            Cause::Quota
        }
        // The service is not available; on a connection that was used before it was tried again.
        (Stage::Sender, 421) => Cause::Away,
        (_, 400..=499) if says(&["throttl", "rate limit", "sending rate", "too fast"]) => {
            Cause::Throttled
        }
        (_, 400..=499) => Cause::Busy,
        // The sender's address is a setting.
        (Stage::Sender, _) => Cause::Sender,
        // A server that will not pass mail on for us says so of every recipient.
        (_, 500..=599) if says(&NO_RELAY) => Cause::Setup,
        (_, 500..=599) => Cause::Rejected,
        // An answer that fits no question.
        (Stage::Dot, _) => Cause::Unknown,
        _ => Cause::Fault,
    };
    refusal(cause, why, (cause == Cause::Busy).then_some(GREYLISTED))
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

    fn refused(stage: Stage, code: u16, text: &str) -> Refusal {
        outcome(&Fault::Refused(stage, code, text.to_owned()))
    }

    #[test]
    fn a_recipient_that_is_put_off_is_tried_again_when_greylisting_is_over() {
        for stage in [Stage::Recipient, Stage::Dot] {
            assert_eq!(refused(stage, 451, "try again later").after, Some(GREYLISTED));
        }
    }

    #[test]
    fn the_words_of_an_address_steer_nothing() {
        for (code, text) in [
            (550, "5.1.1 <x@privaterelay.appleid.com>: Recipient address rejected: no such user"),
            (550, "relay denied.example: no such host; <relay@not-verified.example>"),
            (554, "5.4.4 <nobody@relay.invalid>: domain not found"),
        ] {
            assert_eq!(refused(Stage::Recipient, code, text).cause, Cause::Rejected, "{text}");
        }
        for text in [
            "5.7.1 <ann@example.com>: Relay access denied",
            "5.7.1 Unable to relay for ann@example.com",
            "554 Message rejected: Email address is not verified.",
        ] {
            assert_eq!(refused(Stage::Recipient, 554, text).cause, Cause::Setup, "{text}");
        }
        let slow = "4.7.1 <ann@throttle.example>: try again";
        assert_eq!(refused(Stage::Recipient, 450, slow).cause, Cause::Busy);
    }
}
