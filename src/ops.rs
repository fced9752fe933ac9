//! What people do with mailroom: settings, the command line, the commands, what they show.

pub mod check;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod daemon;
pub mod database;
pub mod environment;
pub mod metrics;
pub mod provider;
pub mod screen;
pub mod settings;
pub mod streams;
pub mod terminal;
