//! How standard input is read.

use crate::mail::counts::Metrics;
use crate::mail::wire::Reader;
use crate::queue::link::Link;
use nix::fcntl::Flock;
use std::fs::File;
use std::time::Duration;

/// Where deliveries are acknowledged.
pub enum Acknowledge {
    /// Nowhere: once it is in the pipe, it is ours.
    Here,
    /// In the database, under leases of this length.
    Database(Box<Link>, Duration),
}

/// How standard input is read.
pub struct Settings {
    /// What reads the text.
    pub reader: Reader,
    /// Tries before a message is given up.
    pub max_attempts: u32,
    /// Where deliveries are acknowledged.
    pub acknowledge: Acknowledge,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether there is a template for an action; without a database a message of any other
    /// action is bad.
    pub known: Box<dyn Fn(u16) -> bool>,
    /// The lock that keeps other processes from reading the same input.
    pub alone: Option<Flock<File>>,
}
