//! Numbers in the words of others. What they count is the caller's.

pub mod prometheus;
pub mod statsd;
pub mod textfile;
