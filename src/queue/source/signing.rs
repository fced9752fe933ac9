//! What makes messages of claims.
//!
//! Out of scope: what a signature covers (`token.rs`), when to claim.

use crate::edges::log;
use crate::mail::error::Error;
use crate::mail::model::{Batch, Cause, Claim, Message, Settlement};
use crate::mail::token::is_code;
use crate::mail::wire;
use crate::queue::source::QueueSource;

impl QueueSource {
    /// Signs claims; those that cannot be signed are settled as failed here and now.
    pub(crate) fn sign(&mut self, claims: Vec<Claim>) -> Result<Batch, Error> {
        let mut messages = Vec::with_capacity(claims.len());
        let mut failed = Vec::new();
        let signer = self.key.signer();
        for claim in claims {
            self.highest = self.highest.max(claim.ticket.delivery);
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
        if !failed.is_empty() {
            self.write_down(failed)?;
        }
        Ok(Batch { messages })
    }
}
