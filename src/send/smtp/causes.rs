//! What the answers of an SMTP server mean: first by the step and the codes, then by the words,
//! each with a server that says so.
//! <https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1>,
//! <https://www.rfc-editor.org/rfc/rfc3463>

use crate::edges::smtp::session::{Fault, Stage};
use crate::mail::model::Cause;
use crate::send::ses::causes::unverified;
use crate::send::text::look_up;

/// Enhanced codes that are not about the recipient, whatever the step. docs/TRANSPORTS.md names the
/// standard or the server that each comes from.
pub const ENHANCED: [(Cause, &str); 5] = [
    // The mail system is full, or takes no mail now.
    (Cause::Away, "4.3.1, 4.3.2"),
    // The sender's address, and what receivers check of it: SPF, reverse DNS, DMARC.
    (Cause::Sender, "4.1.7, 4.1.8, 5.1.7, 5.1.8, 5.7.23, 5.7.24, 5.7.25, 5.7.26, 5.7.27"),
    // Exchange: who may send as whom, too busy, not logged in.
    (Cause::Sender, "5.2.252, 5.7.60"),
    (Cause::Throttled, "4.7.500, 4.7.501"),
    (Cause::Credentials, "5.7.57"),
];

/// Words that are not about the recipient, in lower case; at 4xx and 5xx alike. Single words would
/// be met in what a server says of one recipient. docs/TRANSPORTS.md names a server that says each.
pub const WORDS: [(Cause, &str); 9] = [
    (Cause::Quota, "daily message quota, daily sending, sending limit"),
    (Cause::Quota, "max emails per hour, outgoing email quota"),
    (Cause::Throttled, "throttl, rate limit, too fast, too many requests, server busy"),
    (Cause::Throttled, "emails per second, submission rate"),
    (Cause::Throttled, "too much mail from, too many recipients from"),
    (Cause::Setup, "relay access denied, relay denied, relaying denied, relay not permitted"),
    (Cause::Setup, "unable to relay, helo command rejected, client host rejected"),
    (Cause::Sender, "sender address rejected, verified sender identity"),
    (Cause::Sender, "send as this sender, dmarc"),
];

/// Why an SMTP server did not take a message; `from` and `to` are the addresses of its sender and
/// its recipient.
pub fn cause(fault: &Fault, from: &str, to: &str) -> Cause {
    match fault {
        Fault::Insecure(_) => Cause::Setup,
        // It may be this message that makes the server give up.
        Fault::Lost(Stage::Sender | Stage::Recipient | Stage::Data, _) => Cause::Fault,
        Fault::Lost(Stage::Dot, _) => Cause::Unknown,
        // No mail was spoken of.
        Fault::NotReached(_) | Fault::Lost(..) => Cause::Away,
        Fault::Refused(stage, code, text) => refused(*stage, *code, text, from, to),
    }
}

/// The same of an answer. What comes before the recipient is no message's fault. At the recipient
/// and later, 4xx is for another time and 5xx for ever, unless we are meant.
fn refused(stage: Stage, code: u16, text: &str, from: &str, to: &str) -> Cause {
    let before_mail =
        matches!(stage, Stage::Greeting | Stage::Hello | Stage::Encryption | Stage::Login);
    // The enhanced code with which a text begins.
    let enhanced = text.split_whitespace().next();
    let by_code = || look_up(&ENHANCED, |known| Some(known) == enhanced);
    if (400..600).contains(&code)
        && let Some(cause) = by_code().or_else(|| by_words(text, from, to))
    {
        return cause;
    }
    match (stage, code) {
        // Not logged in, or not well enough, whenever it is said. RFC 4954 section 6.
        (_, 530 | 534 | 535 | 538) => Cause::Credentials,
        _ if before_mail && code < 500 => Cause::Away,
        (Stage::Login, _) => Cause::Credentials,
        _ if before_mail => Cause::Setup,
        // On a connection that was used before it was tried again.
        (Stage::Sender, 400..=499) => Cause::Away,
        // The sender's address is a setting.
        (Stage::Sender, _) => Cause::Sender,
        // The server wants something else first, such as a login.
        (_, 503) => Cause::Setup,
        (_, 400..=499) => Cause::Busy,
        (_, 500..=599) => Cause::Rejected,
        // An answer that fits no question.
        (Stage::Dot, _) => Cause::Unknown,
        _ => Cause::Fault,
    }
}

/// By the words of a text, without those that hold a dot or an `@` inside: addresses and host names
/// are the recipient's choice, and must not steer what is done.
fn by_words(text: &str, from: &str, to: &str) -> Option<Cause> {
    let is_plain = |word: &&str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        !word.contains(['.', '@'])
    };
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().filter(is_plain).collect();
    let words = words.join(" ");
    let known = look_up(&WORDS, |known| words.contains(known));
    // Amazon SES.
    known.or_else(|| words.contains("not verified").then(|| unverified(text, from, &[to])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stage: Stage, code: u16, text: &str) -> Cause {
        let fault = Fault::Refused(stage, code, text.to_owned());
        cause(&fault, "noreply@ours.example", "ann@example.com")
    }

    #[test]
    fn the_words_of_an_address_steer_nothing() {
        for (code, text) in [
            (550, "5.1.1 <x@privaterelay.appleid.com>: Recipient address rejected: no such user"),
            (550, "relay denied.example: no such host; <relay@not-verified.example>"),
            (554, "5.4.4 <nobody@relay.invalid>: domain not found"),
        ] {
            assert_eq!(at(Stage::Recipient, code, text), Cause::Rejected, "{text}");
        }
        let slow = "4.7.1 <ann@throttle.example>: try again";
        assert_eq!(at(Stage::Recipient, 450, slow), Cause::Busy);
    }

    #[test]
    fn what_is_said_of_us_at_the_recipient_is_not_about_the_recipient() {
        for (code, text, cause) in [
            (554, "5.7.1 <ann@example.com>: Relay access denied", Cause::Setup),
            (454, "4.7.1 <ann@example.com>: Relay access denied", Cause::Setup),
            (550, "5.7.1 Unable to relay for ann@example.com", Cause::Setup),
            (
                504,
                "5.5.2 <box>: Helo command rejected: need fully-qualified hostname",
                Cause::Setup,
            ),
            (554, "5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied", Cause::Setup),
            (554, "5.7.1 <a@b.example>: Sender address rejected: Access denied", Cause::Sender),
            (553, "5.1.8 <a@b.example>... Domain of sender address does not exist", Cause::Sender),
            (
                550,
                "5.7.60 SMTP; Client does not have permissions to send as this sender",
                Cause::Sender,
            ),
            (503, "5.5.1 Error: authentication first", Cause::Setup),
            (530, "5.7.0 Must issue a STARTTLS command first", Cause::Credentials),
            (450, "4.7.1 Error: too much mail from 192.0.2.1", Cause::Throttled),
            (450, "4.7.1 Error: too many recipients from 192.0.2.1", Cause::Throttled),
            (451, "4.7.500 Server busy. Please try again later", Cause::Throttled),
            (432, "4.3.2 Concurrent connections limit exceeded", Cause::Away),
            (452, "4.3.1 Insufficient system storage", Cause::Away),
            (
                504,
                "5.5.2 <ann>: Recipient address rejected: need fully-qualified address",
                Cause::Rejected,
            ),
            (550, "5.5.0 Requested action not taken: mailbox unavailable", Cause::Rejected),
        ] {
            assert_eq!(at(Stage::Recipient, code, text), cause, "{text}");
        }
    }

    #[test]
    fn rate_quota_and_sender_are_not_about_the_mail_after_the_final_dot_either() {
        for (code, text, cause) in [
            (550, "5.7.0 Requested action not taken: too many emails per second", Cause::Throttled),
            (
                421,
                "4.4.2 Message submission rate for this client has exceeded the limit",
                Cause::Throttled,
            ),
            (450, "4.7.1 too many requests", Cause::Throttled),
            (550, "User has exceeded outgoing email quota", Cause::Quota),
            (550, "Domain has exceeded the max emails per hour (5/5)", Cause::Quota),
            (550, "5.4.5 Daily user sending limit exceeded", Cause::Quota),
            (554, "5.2.252 SendAsDenied; not allowed to send as", Cause::Sender),
            (550, "The from address does not match a verified Sender Identity", Cause::Sender),
            (554, "5.7.1 From domain fails DMARC policy", Cause::Sender),
            (550, "5.7.26 Unauthenticated email is not accepted", Cause::Sender),
            (550, "5.7.1 This looks like spam", Cause::Rejected),
            (552, "5.3.4 Message too big", Cause::Rejected),
            (451, "4.7.1 Greylisted, try again later", Cause::Busy),
        ] {
            assert_eq!(at(Stage::Dot, code, text), cause, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_not_verified_fails_its_own_mail_and_the_senders_holds_all() {
        let text = |who| {
            format!(
                "Message rejected: Email address is not verified. The following identities \
                     failed the check in region EU-CENTRAL-1: {who}"
            )
        };
        for (who, cause) in [
            ("ann@example.com", Cause::Rejected),
            ("Ann@Example.com.", Cause::Rejected),
            ("noreply@ours.example", Cause::Sender),
            ("ann@example.com, Us <noreply@ours.example>", Cause::Sender),
            ("somebody@else.example", Cause::Sender),
        ] {
            assert_eq!(at(Stage::Dot, 554, &text(who)), cause, "{who}");
        }
        assert_eq!(at(Stage::Dot, 554, "Email address is not verified."), Cause::Sender);
    }

    #[test]
    fn before_the_recipient_no_message_is_at_fault() {
        for (stage, code, text, cause) in [
            (Stage::Greeting, 421, "4.7.0 Try again later", Cause::Away),
            (Stage::Greeting, 554, "No service", Cause::Setup),
            (Stage::Encryption, 454, "4.7.0 TLS not available", Cause::Away),
            (Stage::Login, 454, "4.7.0 Temporary authentication failure", Cause::Away),
            (Stage::Login, 535, "5.7.8 Bad credentials", Cause::Credentials),
            (Stage::Login, 500, "What", Cause::Credentials),
            (Stage::Sender, 452, "4.5.3 Too many messages sent", Cause::Away),
            (Stage::Sender, 451, "4.3.0 Try later", Cause::Away),
            (Stage::Sender, 421, "4.4.2 Closing", Cause::Away),
            (Stage::Sender, 450, "4.7.1 Error: too much mail from 192.0.2.1", Cause::Throttled),
            (Stage::Sender, 550, "5.7.1 Not allowed", Cause::Sender),
        ] {
            assert_eq!(at(stage, code, text), cause, "{text}");
        }
    }
}
