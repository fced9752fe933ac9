//! mailroom sends the mails that a PostgreSQL database asks for.
//!
//! Data flows one way and comes back once:
//! `deliveries` row -> [`mail::model::Claim`] -> [`mail::model::Message`] -> [`mail::model::Batch`]
//! -> [`mail::ends::Transport`] -> [`mail::model::Outcome`] -> [`mail::ends::Source::settle`] ->
//! `deliveries` row. A pipe is a transport like any other: accepted means that the next holder has
//! taken responsibility.
//!
//! | room | what | imports |
//! | --- | --- | --- |
//! | `mail` | values and decisions, pure | nothing of ours |
//! | `queue` | the database as a source of mails | `mail`, `edges` |
//! | `pipe` | standard output as a transport, standard input as a source | `mail`, `edges` |
//! | `send` | providers as transports | `mail`, `edges` |
//! | `lists` | subscribers, and issues to all of them, for people | `mail`, `edges` |
//! | `pump` | the only loop | `mail`, `edges` |
//! | `ops` | settings, commands, what people see | all |
//! | `edges` | the outside world; knows nothing of mail | lower edges |
//!
//! A test reads the imports and fails on a breach.

pub mod edges;
pub mod lists;
pub mod mail;
pub mod ops;
pub mod pipe;
pub mod pump;
pub mod queue;
pub mod send;
