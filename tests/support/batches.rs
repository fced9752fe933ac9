//! Messages and batches for a transport alone, without a database.

use mailroom::mail::model::{Batch, Cause, Kind, Message, Outcome};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// What looks like a token, and is easy to find.
pub const TOKEN: &str =
    "TOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENTOKENT";

/// A message of this action, with a code if the action has one.
pub fn message(action: u16, number: usize) -> Message {
    Message {
        kind: Kind::numbered(action).into(),
        email: format!("user{number}@example.com"),
        login: format!("login{number}"),
        token: TOKEN.to_owned(),
        code: if action == 2 { "01234".into() } else { String::new() },
        ..Message::default()
    }
}

/// So many activations.
pub fn batch(count: usize) -> Batch {
    Batch { messages: (0..count).map(|number| message(1, number)).collect() }
}

pub fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

/// Why a message was not accepted.
pub fn cause(outcome: &Outcome) -> Cause {
    match outcome {
        Outcome::Refused(refusal) => refusal.cause,
        Outcome::Accepted { .. } => panic!("{outcome:?}"),
    }
}

/// The same for people.
pub fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused(refusal) => &refusal.why,
        Outcome::Accepted { .. } => panic!("{outcome:?}"),
    }
}

/// The provider's ids of a batch that was accepted.
pub fn ids(outcomes: &[Outcome]) -> Vec<&str> {
    let mut ids = Vec::new();
    for outcome in outcomes {
        let Outcome::Accepted { provider_id } = outcome else { panic!("{outcome:?}") };
        ids.push(provider_id.as_str());
    }
    ids
}

/// A clock that goes twenty seconds ahead whenever this thread looks at it.
pub fn twenty_seconds_later() -> Instant {
    thread_local!(static NOW: Cell<Instant> = Cell::new(Instant::now()));
    let later = NOW.get() + Duration::from_secs(20);
    NOW.set(later);
    later
}
