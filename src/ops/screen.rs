//! What a queue, its deliveries and the checks look like to people, as text of a given width or a page of HTML.
//!
//! In scope: layout, colours, units. Out of scope: finding anything out, and asking the terminal.

pub mod checks;
pub mod deliveries;
pub mod html;
pub mod json;
pub mod page;
pub mod report;
pub mod status;
