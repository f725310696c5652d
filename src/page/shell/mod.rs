//! The frame of the page: header, footer, status, results, measurements, the offer of an update, the
//! address and the clipboard.

pub mod address;
pub mod clipboard;
pub mod footer;
pub mod header;
pub mod leaving;
pub mod results;
pub mod stats_panel;
pub mod status;
pub mod update_offer;
