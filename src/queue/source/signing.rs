//! What makes messages of claims.
//!
//! Out of scope: what a signature covers (`mail/token.rs`), when to claim.

use crate::edges::log;
use crate::mail::model::{Batch, Cause, Claim, Message, Outcome, Ticket};
use crate::mail::token::{Signer, SigningKey, is_code};
use crate::mail::wire;
use serde_json::Value;

/// Signs claims. Gives the messages, and what became of those claims that cannot be signed.
pub fn sign(key: &SigningKey, claims: Vec<Claim>) -> (Batch, Vec<(Ticket, Outcome)>) {
    let mut messages = Vec::with_capacity(claims.len());
    let mut failed = Vec::new();
    let signer = key.signer();
    for claim in claims {
        match token(&signer, &claim) {
            Ok(token) => messages.push(Message {
                kind: claim.kind,
                email: claim.recipient.unwrap_or_default(),
                login: claim.login,
                token,
                code: claim.code.filter(|code| is_code(code)).unwrap_or_default(),
                locale: claim.locale,
                data: claim.data,
                reply_to: claim.reply_to,
                list: claim.list,
                ticket: Some(claim.ticket),
            }),
            Err(why) => {
                let id = claim.ticket.delivery;
                log::warn("PG", format_args!("delivery {id} failed: {why}"));
                failed.push((claim.ticket, Outcome::refused(Cause::Unsigned, why)));
            }
        }
    }
    (Batch { messages }, failed)
}

/// The token of a claim; empty if its kind has none. Nothing goes out without its data: PostgreSQL takes
/// numbers and depths that readers of JSON do not.
fn token(signer: &Signer, claim: &Claim) -> Result<String, String> {
    claim.recipient.as_deref().map_or(Ok(()), wire::check_address)?;
    let data = claim.data.as_deref().map_or(Ok(Value::Null), serde_json::from_str);
    data.map_err(|error| format!("its data cannot be read: {error}"))?;
    let Some(path) = &claim.kind.path else { return Ok(String::new()) };
    signer.sign(path, claim.kind.signs_code, &claim.secret, claim.code.as_deref())
}
