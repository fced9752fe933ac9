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
//! | 0 | words | `model`, `snapshot`, `checks`, `error`, `stop`, `clock` |
//! | 1 | pure: no I/O, no clock, no environment | `token`, `wire`, `window`, `pace`, `verdict`, `template`, `address`, `proxy`, `screen`, `metrics` |
//! | 2 | edges: one outside thing each | `net`, `db`, `http`, `log`, `notify`, `signal`, `undelivered`, `statsd`, `textfile` |
//! | 3 | edges that stand on others: a database connection that comes back, credentials | `link`, `aws` |
//! | 4 | what is built on one of those: an API that is called, outcomes written down | `ses`, `settling` |
//! | 5 | ends | `source`, `transport` |
//! | 6 | the only loop | `pump` |
//! | 7 | settings | `config` |
//! | 8 | words of the command line | `cli` |
//! | 9 | commands | `cmd` |
//! | 10 | the process | `main`, this file |

pub mod address;
pub mod aws;
pub mod checks;
pub mod cli;
pub mod clock;
pub mod cmd;
pub mod config;
pub mod db;
pub mod error;
pub mod http;
pub mod link;
pub mod log;
pub mod metrics;
pub mod model;
pub mod net;
pub mod notify;
pub mod pace;
pub mod proxy;
pub mod pump;
pub mod screen;
pub mod ses;
pub mod settling;
pub mod signal;
pub mod snapshot;
pub mod source;
pub mod statsd;
pub mod stop;
pub mod template;
pub mod textfile;
pub mod token;
pub mod transport;
pub mod undelivered;
pub mod verdict;
pub mod window;
pub mod wire;
