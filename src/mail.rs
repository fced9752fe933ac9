//! What mailroom is about: pure values and decisions. No I/O, no clock, no environment; it imports
//! nothing else of ours.

pub mod batcher;
pub mod counts;
pub mod ends;
pub mod error;
pub mod kind;
pub mod model;
pub mod pace;
pub mod policy;
pub mod recipient;
pub mod sleep;
pub mod token;
pub mod wire;
