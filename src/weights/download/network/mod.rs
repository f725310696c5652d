//! The network: requests, transfers in parts, and a file's whole way into the store.

pub mod run;
pub mod source;
pub mod transfer;
