//! The queue in the database: one end of the pump.

pub mod adopt;
pub mod fit;
pub mod grants;
pub mod link;
pub mod operate;
pub mod request;
pub mod samples;
pub mod schema;
pub mod settle;
pub mod snapshot;
pub mod source;
pub mod status;
pub mod store;
