//! How a file arrives: which bytes are requested, which are committed together, and how fast.

pub mod content_range;
#[cfg(target_family = "wasm")]
pub mod network;
pub mod plan;
pub mod speed;
