//! The words of the house: what travels from the queue to the provider and back.
//!
//! A [`Claim`] is a row as the database gave it; signing makes it a [`Message`]; messages travel
//! in a [`Batch`]; a transport answers each with an [`Outcome`]; a source turns that into a
//! [`Settlement`] and writes it down. Nothing here does anything.

use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// What a kind of mail is, as its row in the table `kinds` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// Its name; of a message that came as CSV, its number.
    pub name: Arc<str>,
    /// The number on the wire of CSV, 1 to 32767.
    pub number: Option<u16>,
    /// The provider's name of the template, as far as the database says.
    pub template: Option<String>,
    /// What is signed before the secret, such as `/activate`; without it there is no token.
    pub path: Option<String>,
    /// Whether the five digits of the code are signed too.
    pub signs_code: bool,
    /// The From address, if it is not the usual one.
    pub sender: Option<String>,
}

/// What a mail of a list says of it in its headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct List {
    /// Which list, as [RFC 2919](https://www.rfc-editor.org/rfc/rfc2919) has it: `news.example.com`.
    pub id: String,
    /// An HTTPS link: a POST to it, without more, takes the recipient off the list.
    pub unsubscribe: String,
}

impl List {
    /// The headers by which a mailbox offers to unsubscribe. Signed by DKIM, or they count for nothing:
    /// <https://www.rfc-editor.org/rfc/rfc8058#section-4>
    pub fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("List-Id", format!("<{}>", self.id)),
            ("List-Unsubscribe", format!("<{}>", self.unsubscribe)),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
        ]
    }
}

impl Kind {
    /// What is known of a kind of which only the number is.
    pub fn numbered(number: u16) -> Kind {
        Kind { name: number.to_string().into(), number: Some(number), ..Kind::default() }
    }

    /// The number of an action as it stands in settings and on the wire: 1 to 32767, as digits alone.
    pub fn parse_number(text: &str) -> Option<u16> {
        let number = text.parse().ok().filter(|number| (1..=0x7fff).contains(number))?;
        (!text.starts_with(['+', '0'])).then_some(number)
    }
}

/// The hold that a source has on one delivery: which, under which lease, after how many tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// `deliveries.id`.
    pub delivery: i64,
    /// The text of `deliveries.lease` at the time of the claim; settling checks it.
    pub lease: Arc<str>,
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
    pub kind: Arc<Kind>,
    /// `deliveries.recipient`, or `accounts.email`; `None`: an event, which is no mail.
    pub recipient: Option<String>,
    /// `accounts.login`; empty without an account.
    pub login: String,
    /// `tokens.secret`: 32 bytes, if the row is sound and the kind has a token.
    pub secret: Zeroizing<Vec<u8>>,
    /// `tokens.code`: five digits, if the row is sound.
    pub code: Option<String>,
    /// `deliveries.locale`
    pub locale: Option<String>,
    /// `deliveries.data`: a JSON object, as text.
    pub data: Option<String>,
    /// `deliveries.reply_to`, or `kinds.reply_to`.
    pub reply_to: Option<String>,
    /// The list that it is an issue of.
    pub list: Option<List>,
}

/// One mail to one recipient, signed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The kind of mail.
    pub kind: Arc<Kind>,
    /// The recipient's address; empty: an event, which is no mail.
    pub email: String,
    /// The recipient's login.
    pub login: String,
    /// The signed token: 86 base64url characters; empty if the kind has none. On the wire this field
    /// is called `secret`.
    pub token: String,
    /// Five digits, or nothing.
    pub code: String,
    /// A language tag.
    pub locale: Option<String>,
    /// What fills the template besides: a JSON object, as text.
    pub data: Option<String>,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
    /// The list that it is an issue of.
    pub list: Option<List>,
    /// Where the message came from, if that was a database.
    pub ticket: Option<Ticket>,
}

impl fmt::Debug for Message {
    /// Shows no token, no code and no full address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {}, {:?})", self.kind.name, mask(&self.email), self.ticket)
    }
}

/// Messages that travel together: one CSV record, at most 50 of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of the claim.
    pub messages: Vec<Message>,
}

/// The causes, each with its name, in the order of the enum type `delivery_cause` of the database.
macro_rules! causes {
    ($($(#[$meaning:meta])+ $cause:ident = $name:literal,)+) => {
        /// Why a message was not accepted, and why its delivery waits or ended. What follows from each is
        /// one row of [`crate::mail::policy::of`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $($(#[$meaning])+ $cause,)+
        }

        const CAUSES: &[(Cause, &str)] = &[$((Cause::$cause, $name)),+];
    };
}

causes! {
    /// The provider says that mail comes too fast.
    Throttled = "throttled",
    /// The provider was not reached, or cannot serve; nothing was sent.
    Away = "away",
    /// Who stands before the provider had the request, and no answer of the provider came of it.
    Gateway = "gateway",
    /// No answer, or none that can be read: it may have been sent.
    Unknown = "unknown",
    /// An error inside the provider, or an answer that nobody knows.
    Fault = "fault",
    /// This message not now.
    Busy = "busy",
    /// This message never.
    Rejected = "rejected",
    /// The provider lets this account send nothing.
    Account = "account",
    /// The provider refuses the credentials, or there are none.
    Credentials = "credentials",
    /// What may be sent in a day or a month is used up.
    Quota = "quota",
    /// The sender's address may not be used.
    Sender = "sender",
    /// A setting is at fault: endpoint, encryption, configuration set, message stream, relaying.
    Setup = "setup",
    /// The template of this kind of mail is at fault.
    Template = "template",
    /// Our own output takes nothing any more.
    Output = "output",
    /// The row holds nothing that can be signed.
    Unsigned = "unsigned",
    /// The account or the token is not of the kind that gets this mail now.
    Ineligible = "ineligible",
    /// The token expired first.
    Expired = "expired",
    /// A person gave it up.
    Dropped = "dropped",
    /// A newer mail stands in its place.
    Superseded = "superseded",
    /// The recipient gets no more of these for now.
    Limited = "limited",
    /// It does not fit the format of the output.
    Format = "format",
    /// The process that had it stopped.
    Stopped = "stopped",
    /// The recipient left the list.
    Unsubscribed = "unsubscribed",
}

impl Cause {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Cause> {
        CAUSES.iter().map(|(cause, _)| *cause)
    }

    /// Its name in the database, in the log and in metrics.
    pub fn name(self) -> &'static str {
        CAUSES[self as usize].1
    }

    /// The cause of this name.
    pub fn named(name: &str) -> Option<Cause> {
        Cause::all().find(|cause| cause.name() == name)
    }
}

/// What a hold stops.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything: the account, the credentials, the sender address are at fault.
    All,
    /// The messages of one kind: its template is at fault.
    Kind(Arc<str>),
}

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What everything that is done about it follows from.
    pub cause: Cause,
    /// The same for people: one line without addresses and secrets.
    pub why: String,
    /// The shortest wait that was asked for.
    pub after: Option<Duration>,
}

/// What the transport says of one message. Only a source may consume it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an outcome that is not settled is a lost mail"]
pub enum Outcome {
    /// The next holder has taken responsibility, as with SMTP's 250.
    Accepted {
        /// The provider's id of the message; empty where it has none (a pipe).
        provider_id: String,
    },
    /// It has not.
    Refused(Refusal),
}

impl Outcome {
    /// Not accepted, for this cause and with this reason for people.
    pub fn refused(cause: Cause, why: impl Into<String>) -> Outcome {
        Outcome::Refused(Refusal { cause, why: why.into(), after: None })
    }

    /// Whether the next holder has taken responsibility.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Outcome::Accepted { .. })
    }
}

/// What a provider allows an account; `None`: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quota {
    /// Recipients a second.
    pub rate: Option<f64>,
    /// Recipients in any 24 hours.
    pub daily: Option<u64>,
    /// How many of these are left now.
    pub left: Option<u64>,
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
        /// Why.
        cause: Cause,
        /// The reason, for people.
        why: String,
        /// Whether this used up an attempt.
        counts: bool,
    },
    /// Given up.
    Failed {
        /// Why.
        cause: Cause,
        /// The reason, for people.
        why: String,
    },
}

/// An address as it may stand in a log: the first character and the domain.
///
/// Text without an `@` is masked whole.
pub fn mask(email: &str) -> String {
    let Some((local, domain)) = email.rsplit_once('@') else { return "***".to_owned() };
    let first = local.chars().next().map_or(0, char::len_utf8);
    [&local[..first], "***@", domain].concat()
}

/// An address as it may be logged: in full when debugging.
pub fn shown(email: &str, in_full: bool) -> String {
    if in_full { email.to_owned() } else { mask(email) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_name_in_lower_case() {
        for cause in Cause::all() {
            assert_eq!(cause.name(), format!("{cause:?}").to_lowercase());
            assert_eq!(Cause::named(cause.name()), Some(cause));
        }
        assert_eq!(Cause::named("else"), None);
    }

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
            email: "john@example.com".into(),
            login: "john".into(),
            token: "TOKENTOKEN".into(),
            code: "12345".into(),
            ..Message::default()
        };
        let shown = format!("{message:?}");
        assert!(!shown.contains("TOKENTOKEN") && !shown.contains("12345"));
        assert!(!shown.contains("john@") && shown.contains("j***@example.com"));
    }
}
