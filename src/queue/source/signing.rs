//! What makes messages of claims.
//!
//! Out of scope: what a signature covers (`mail/token.rs`), when to claim.

use crate::edges::log;
use crate::mail::model::{Batch, Cause, Claim, Message, Settlement, Ticket};
use crate::mail::token::{SigningKey, is_code};
use crate::mail::wire;

/// Signs claims. Gives the messages, and those claims that cannot be signed: they have failed.
pub fn sign(key: &SigningKey, claims: Vec<Claim>) -> (Batch, Vec<(Ticket, Settlement)>) {
    let mut messages = Vec::with_capacity(claims.len());
    let mut failed = Vec::new();
    let signer = key.signer();
    for claim in claims {
        let signed = wire::check_address(&claim.email)
            .and_then(|()| signer.sign(&claim.action, &claim.secret, claim.code.as_deref()));
        match signed {
            Ok(token) => messages.push(Message {
                action: claim.action.number,
                email: claim.email,
                login: claim.login,
                token,
                code: claim.code.filter(|code| is_code(code)).unwrap_or_default(),
                ticket: Some(claim.ticket),
            }),
            Err(why) => {
                let id = claim.ticket.delivery;
                log::warn("PG", format_args!("delivery {id} failed: {why}"));
                failed.push((claim.ticket, Settlement::Failed { cause: Cause::Unsigned, why }));
            }
        }
    }
    (Batch { messages }, failed)
}
