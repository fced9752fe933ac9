//! What people do with mailroom: settings, the command line, the commands, what they show.

pub mod checks;
pub mod cli;
pub mod cmd;
pub mod config;
pub mod screen;
