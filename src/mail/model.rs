//! The words of the house: what travels from the queue to the provider and back.
//!
//! A [`Claim`] is a row as the database gave it; signing makes it a [`Message`]; messages travel
//! in a [`Batch`]; a transport answers each with an [`Outcome`]; a source turns that into a
//! [`Settlement`] and writes it down. Nothing here does anything.

use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// What a kind of mail is, as the `actions` table says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The number on the wire, 1 to 32767.
    pub number: u16,
    /// The path that is signed, such as `/activate`.
    pub path: std::sync::Arc<str>,
    /// Whether the five digits of the code are signed too.
    pub signs_code: bool,
}

/// The hold that a source has on one delivery: which, under which lease, after how many tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// `deliveries.token`.
    pub delivery: i64,
    /// The text of `deliveries.lease` at the time of the claim; settling checks it.
    pub lease: std::sync::Arc<str>,
    /// Tries that were made before this one.
    pub attempts: u32,
    /// How old the delivery was when it was claimed, if that is known.
    pub age: Option<Duration>,
}

/// One claimed row, not signed yet. It cannot reach a transport.
pub struct Claim {
    /// Which delivery this is.
    pub ticket: Ticket,
    /// The kind of mail.
    pub action: Action,
    /// `accounts.email`.
    pub email: String,
    /// `accounts.login`.
    pub login: String,
    /// `tokens.secret`: 32 bytes, if the row is sound.
    pub secret: Zeroizing<Vec<u8>>,
    /// `tokens.code`: five digits, if the row is sound.
    pub code: Option<String>,
}

/// One mail to one recipient, signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Number of the action.
    pub action: u16,
    /// The recipient's address.
    pub email: String,
    /// The recipient's login.
    pub login: String,
    /// The signed token: 86 base64url characters. On the wire this field is called `secret`.
    pub token: String,
    /// Five digits, or nothing.
    pub code: String,
    /// Where the message came from, if that was a database.
    pub ticket: Option<Ticket>,
}

impl fmt::Debug for Message {
    /// Shows no token, no code and no full address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("action", &self.action)
            .field("email", &mask(&self.email))
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}

/// Messages that travel together: one CSV record, at most 50 of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the claim.
    pub messages: Vec<Message>,
}

/// What a hold stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything: the account, the credentials, the sender address are at fault.
    All,
    /// The messages of one action: its template is at fault.
    Action(u16),
}

/// How the reason begins that stands at a delivery which a hold keeps back. `claim.sql` writes it
/// too; `rescue.sql` and `waiting.sql` look for it.
pub const HELD: &str = "held: ";

/// How the reason begins that stands at a delivery whose try used no attempt, because the provider
/// was not reached or took no more. `waiting.sql` looks for it.
pub const PUT_OFF: &str = "put off: ";

/// What the transport says of one message. Only a source may consume it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an outcome that is not settled is a lost mail"]
pub enum Outcome {
    /// The next holder has taken responsibility, as with SMTP's 250.
    Accepted {
        /// The provider's id of the message; empty where it has none (a pipe).
        provider_id: String,
    },
    /// Not now; later it may work.
    Retry {
        /// The shortest wait that the provider asked for.
        after: Option<Duration>,
        /// The reason, for people.
        why: String,
        /// Whether the provider may have accepted the message all the same.
        ambiguous: bool,
        /// Whether the provider said that we are too fast.
        throttled: bool,
        /// Whether the provider was not there for anybody: it was not reached, or it said of the
        /// whole call that it cannot serve now.
        away: bool,
    },
    /// This message will never be accepted.
    Reject {
        /// The reason, for people.
        why: String,
    },
    /// The message is not at fault: everything in `scope` waits for a person or a change.
    Hold {
        /// What waits.
        scope: Scope,
        /// The reason, for people.
        why: String,
    },
}

impl Outcome {
    /// The pause that the provider asked for on its own account: it cannot serve, or we are too
    /// fast. (A wait for one message is not one, nor is what a gateway says in its place.)
    pub fn pause_asked(&self) -> Option<Duration> {
        match self {
            Outcome::Retry { after, throttled: true, .. }
            | Outcome::Retry { after, away: true, ambiguous: false, .. } => {
                after.filter(|pause| !pause.is_zero())
            }
            _ => None,
        }
    }
}

/// What is written down about one message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settlement {
    /// Accepted by the next holder.
    Sent {
        /// The provider's id, or empty.
        provider_id: String,
    },
    /// To be tried again after `delay`.
    Again {
        /// From now, on the clock of whoever writes it down.
        delay: Duration,
        /// The reason, for people.
        why: String,
        /// Whether this used up an attempt.
        counts: bool,
    },
    /// Given up.
    Failed {
        /// The reason, for people.
        why: String,
    },
}

/// An address as it may stand in a log: the first character and the domain.
///
/// Text without an `@` is masked whole.
pub fn mask(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((local, domain)) => {
            let first = local.chars().next().map_or(0, char::len_utf8);
            [local.get(..first).unwrap_or_default(), "***@", domain].concat()
        }
        None => "***".to_owned(),
    }
}

/// An address as it may be logged: in full when debugging.
pub fn shown(email: &str, in_full: bool) -> String {
    if in_full { email.to_owned() } else { mask(email) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_keeps_its_first_character_and_its_domain() {
        assert_eq!(mask("john@example.com"), "j***@example.com");
        assert_eq!(mask("émile@example.com"), "é***@example.com");
        assert_eq!(mask("not an address"), "***");
        assert_eq!(mask("@example.com"), "***@example.com");
    }

    #[test]
    fn a_message_does_not_show_its_token_code_or_address_when_debugged() {
        let message = Message {
            action: 2,
            email: "john@example.com".into(),
            login: "john".into(),
            token: "TOKENTOKEN".into(),
            code: "12345".into(),
            ticket: None,
        };
        let shown = format!("{message:?}");
        assert!(!shown.contains("TOKENTOKEN") && !shown.contains("12345"));
        assert!(!shown.contains("john@") && shown.contains("j***@example.com"));
    }
}
