//! What a batch is handed to.

pub mod dry;
pub mod pipe;
pub mod ses;

use crate::error::Error;
use crate::model::{Batch, Outcome};
use crate::pace::Quota;

/// The other end of the pump: hands a batch over and reports what was said of each message.
pub trait Transport {
    /// Hands the batch over.
    ///
    /// The answer has one outcome for each message of the batch, in its order. A fault of any
    /// kind is an outcome too: this does not fail and does not panic.
    fn send(&mut self, batch: &Batch) -> Vec<Outcome>;

    /// What the provider allows the account now, if it tells.
    fn quota(&mut self) -> Option<Quota> {
        None
    }

    /// Why nothing can be handed over any more, if that is so: the process ends, and what was
    /// not handed over is released.
    fn broken(&mut self) -> Option<Error> {
        None
    }
}
