//! The frame of the page: header, footer, status, results, the offer of an update, and the address.

pub mod address;
pub mod footer;
pub mod header;
pub mod results;
pub mod status;
pub mod update_offer;
