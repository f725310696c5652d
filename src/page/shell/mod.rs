//! What stands around everything: header, footer, status, results, and the page's address.

pub mod address;
pub mod footer;
pub mod header;
pub mod results;
pub mod status;
pub mod update_offer;
