//! How a file arrives: which bytes are asked for, what is committed when, and how fast it goes.

#![expect(
    clippy::indexing_slicing,
    reason = "a piece is cut where the plan of its file says, as far as it goes"
)]

pub mod content_range;
#[cfg(target_family = "wasm")]
pub mod network;
pub mod plan;
pub mod speed;
