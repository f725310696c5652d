//! The network: requests, transfers in parts, and the arrival of a file in the store.

pub mod arrival;
pub mod disk;
mod error;
mod http;
mod ordered_bytes;
pub mod source;
pub mod transfer;
mod writing;
