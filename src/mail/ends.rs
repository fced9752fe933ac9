//! Where messages come from, where they go to, and where their outcomes go back to.

use crate::mail::error::Error;
use crate::mail::model::{Batch, Message, Outcome, Quota};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the pump wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// At most this many messages; fewer than a batch while a hold is being probed.
    pub limit: usize,
    /// Kinds that are held and must not be handed out.
    pub held: Vec<Arc<str>>,
    /// Return by then, with or without a batch; `None`: no limit.
    pub until: Option<Instant>,
    /// The most recipients in any 24 hours; `None`: no limit.
    pub daily: Option<u64>,
    /// Nothing that is of a list, or goes behind those.
    pub urgent: bool,
}

/// What the source gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A batch to hand over. Its outcomes must come back through [`Source::settle`].
    Batch(Batch),
    /// Nothing by the time asked for, or the stop flag was raised.
    Idle,
    /// Nothing: the limit of the day is reached, counting what other processes have in hand.
    Full,
    /// Nothing, ever again.
    End,
}

/// One end of the pump: hands out batches and writes down what became of them.
pub trait Source {
    /// Waits for a batch.
    ///
    /// # Errors
    /// Only what the process cannot outlive; faults that pass are waited out inside.
    fn next(&mut self, ask: &Ask) -> Result<Next, Error>;

    /// While a batch is on its way: takes the one in hand, if there is one, that [`Source::next`] is to give if
    /// it fits what is asked for then, with nothing held. The last one was on its way for so long.
    fn ahead(&mut self, _ask: &Ask, _took: Duration) {}

    /// Waits without handing out anything, until `until` or sooner, keeping the connection alive.
    ///
    /// Gives `false` if the process was asked to stop and nothing is left to hand out.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn idle(&mut self, until: Instant) -> Result<bool, Error>;

    /// Writes down what became of each message of the batch, in its order.
    ///
    /// `probe` is how long what is held should wait.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn settle(&mut self, done: Vec<(Message, Outcome)>, probe: Duration) -> Result<(), Error>;

    /// Whether [`Ask::urgent`] means anything here.
    fn sorts(&self) -> bool {
        false
    }

    /// How many more recipients there may be, of all processes on this database, if `daily` is the limit
    /// of any 24 hours; `None` if there is no database to ask.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn left(&mut self, daily: u64) -> Result<Option<u64>, Error>;

    /// Ends: keeps for later what was taken and could not be handed over.
    ///
    /// # Errors
    /// What could not be kept, or what the exit status must say of the input.
    fn close(&mut self) -> Result<(), Error>;
}

/// Where a message stood in the input: the number of its record, and its place in that, both from 1.
pub type Place = (u64, usize);

/// What a ledger made of messages.
#[derive(Default)]
pub struct Taken {
    /// What may go now.
    pub batch: Batch,
    /// What must not be sent, with the reasons.
    pub refused: Vec<(Place, Message, String)>,
}

/// What becomes of messages that were read from a pipe, until they are settled.
pub trait Ledger {
    /// Whether nobody else has what is read: what will not be sent must be kept for a person.
    fn is_sole(&self) -> bool {
        false
    }

    /// How many messages wait here.
    fn waiting(&self) -> usize {
        0
    }

    /// Takes messages from the front of `read`, and gives those that may go now; it may be none.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn take(&mut self, read: &mut VecDeque<(Place, Message)>, ask: &Ask) -> Result<Taken, Error>;

    /// As [`Source::settle`]. Gives what is given up and nobody else has, with the reasons.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn settle(
        &mut self,
        done: Vec<(Message, Outcome)>,
        probe: Duration,
    ) -> Result<Vec<(Message, String)>, Error>;

    /// Does what was put off, if it is time. Gives when there is something to do next.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn tend(&mut self) -> Result<Option<Instant>, Error>;

    /// As [`Source::left`].
    ///
    /// # Errors
    /// As [`Source::next`].
    fn left(&mut self, _daily: u64) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// Ends. Gives what waits and nobody else has.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn close(&mut self) -> Result<Vec<Message>, Error>;
}

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
