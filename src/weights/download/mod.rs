//! How a file arrives: which bytes are requested, which are committed together, and how fast.

#![expect(
    clippy::indexing_slicing,
    reason = "a piece is cut where the plan of its file says, as far as it goes"
)]

pub mod content_range;
#[cfg(target_family = "wasm")]
pub mod network;
pub mod plan;
pub mod retry;
pub mod speed;
