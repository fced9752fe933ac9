//! mailroom sends the mails that a PostgreSQL database asks for.
//!
//! Data flows one way and comes back once:
//! `deliveries` row -> [`model::Claim`] -> [`model::Message`] -> [`model::Batch`] ->
//! [`transport::Transport`] -> [`model::Outcome`] -> [`source::Source::settle`] -> `deliveries`
//! row. A pipe is a transport like any other: accepted means that the next holder has taken
//! responsibility.
//!
//! # Floors
//!
//! A file imports only from lower floors; within a folder, `mod.rs` is shared. A test reads the
//! imports and fails on a breach.
//!
//! | floor | what | files |
//! | --- | --- | --- |
//! | 0 | words | `model`, `snapshot`, `error`, `stop`, `clock` |
//! | 1 | pure: no I/O, no clock, no environment | `token`, `wire`, `window`, `pace`, `verdict`, `template`, `address`, `proxy`, `screen` |
//! | 2 | edges: one outside thing each | `db`, `aws`, `http`, `log`, `signal`, `undelivered` |
//! | 3 | a database connection that comes back | `link` |
//! | 4 | ends | `source`, `transport` |
//! | 5 | the only loop | `pump` |
//! | 6 | settings | `config` |
//! | 7 | words of the command line | `cli` |
//! | 8 | commands | `cmd` |
//! | 9 | the process | `main`, this file |

pub mod address;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod cmd;
pub mod config;
pub mod db;
pub mod error;
pub mod http;
pub mod link;
pub mod log;
pub mod model;
pub mod pace;
pub mod proxy;
pub mod pump;
pub mod screen;
pub mod signal;
pub mod snapshot;
pub mod source;
pub mod stop;
pub mod template;
pub mod token;
pub mod transport;
pub mod undelivered;
pub mod verdict;
pub mod window;
pub mod wire;
