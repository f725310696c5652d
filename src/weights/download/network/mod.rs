//! The network: requests, transfers in parts, and a file's whole way into the store.

pub mod arrival;
mod ordered_bytes;
pub mod source;
pub mod transfer;
mod writing;
