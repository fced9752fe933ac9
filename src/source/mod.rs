//! Where messages come from, and where their outcomes go back to.

pub mod queue;
pub mod stdin;

use crate::error::Error;
use crate::model::{Batch, Outcome};
use std::time::{Duration, Instant};

/// What the pump wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// At most this many messages; fewer than a batch while a hold is being probed.
    pub limit: usize,
    /// Actions that are held and must not be handed out.
    pub held: Vec<u16>,
    /// Return by then, with or without a batch; `None`: no limit.
    pub until: Option<Instant>,
}

/// What the source gives.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A batch to hand over. Its outcomes must come back through [`Source::settle`].
    Batch(Batch),
    /// Nothing by the time asked for, or the stop flag was raised.
    Idle,
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

    /// Waits without claiming, until `until` or the stop flag, keeping the connection alive.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn idle(&mut self, until: Instant) -> Result<(), Error>;

    /// Writes down the outcomes, one for each message of the batch and in its order.
    ///
    /// `probe` is how long what is held should wait.
    ///
    /// # Errors
    /// As [`Source::next`].
    fn settle(&mut self, batch: Batch, outcomes: Vec<Outcome>, probe: Duration)
    -> Result<(), Error>;
}
