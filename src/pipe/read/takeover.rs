//! Deliveries taken over from the collector, in the database, before they are sent.
//!
//! In scope: which messages are ours now, and what is said of the others. Out of scope: keeping
//! what is refused, sending, settling.

use crate::edges::log;
use crate::edges::pg::is_locked_out;
use crate::mail::ends::new_lease;
use crate::mail::error::Error;
use crate::mail::model::{Message, shown};
use crate::mail::token::Parsed;
use crate::mail::wire::Bad;
use crate::pipe::read::{Place, Sorted, encode};
use crate::queue::link::Link;
use crate::queue::store::Adopted;
use std::time::Duration;

/// Takes over the deliveries of messages, each given with its place. Gives those
/// that are ours now, and those that nobody will send though they stand as sent; what is not to
/// be sent now, or by us, is left out.
///
/// # Errors
/// As [`Link::run`].
pub fn take_over(
    link: &mut Link,
    lease_for: Duration,
    messages: Vec<(Place, Message)>,
) -> Result<Sorted, Error> {
    let tokens: Vec<Parsed> =
        messages.iter().filter_map(|(_, message)| Parsed::from_text(&message.token).ok()).collect();
    let secrets: Vec<&[u8]> = tokens.iter().map(Parsed::secret).collect();
    let addresses: Vec<&str> = messages.iter().map(|(_, message)| message.email.as_str()).collect();
    let lease = new_lease("send");
    let adopted = link.run("taking over a batch", |statements, client| {
        let mut adopt = |pass_over| {
            statements.adopt(client, &secrets, &addresses, &lease, lease_for, pass_over)
        };
        // One that another transaction has locked for long does not keep the others.
        match adopt(false) {
            Err(error) if is_locked_out(&error) => adopt(true),
            other => other,
        }
    })?;
    let Some(mut adopted) = adopted else {
        log::info(
            "SEND",
            format_args!(
                "messages left out: {}; asked to stop before they could be taken over, so their \
                 leases stand",
                messages.len()
            ),
        );
        return Ok(Sorted::default());
    };
    let (mut taken, mut unsent) = (Vec::with_capacity(messages.len()), Vec::new());
    for (((record, place), mut message), token) in messages.into_iter().zip(&tokens) {
        let found = adopted.iter().position(|found| found.secret == token.secret());
        match found.map(|index| adopted.swap_remove(index)) {
            Some(Adopted { ticket: Some(ticket), .. }) => {
                message.ticket = Some(ticket);
                taken.push(((record, place), message));
            }
            Some(Adopted { unsent: true, .. }) => {
                let why = "its delivery stands as sent, but no provider has taken it: MAILROOM_ACK \
                           must be the same for collect and send";
                let raw = encode(message);
                unsent.push((record, Bad { message: Some(place), why: why.to_owned(), raw }));
            }
            _ => log::info(
                "SEND",
                format_args!(
                    "left out {}: its delivery is settled, expired, locked, or waits for another claim",
                    shown(&message.email, log::is_debug())
                ),
            ),
        }
    }
    Ok((taken, unsent))
}
