//! The loader: it brings pairs of models into this browser's store, in a worker of its own, so that
//! the engine can draw meanwhile.
//!
//! [`protocol`] is what the page shares with it. How bytes become records is in
//! [`weights`](crate::weights); here is which pairs there are, which of them loads, and what the
//! other tabs know of it. Nothing here knows burn, the models or the page.

#[cfg(feature = "loader")]
pub mod preflight;
pub mod protocol;
#[cfg(feature = "loader")]
pub mod speed;
pub mod words;

#[cfg(all(feature = "loader", target_family = "wasm"))]
mod library;
#[cfg(all(feature = "loader", target_family = "wasm"))]
mod storage;
#[cfg(all(feature = "loader", target_family = "wasm"))]
mod tabs;
#[cfg(all(feature = "loader", target_family = "wasm"))]
pub mod worker;
