//! The loader: it brings pairs of models into this browser's store, in a worker of its own, so that
//! the engine can draw meanwhile.
//!
//! How bytes become records is in [`weights`](crate::weights); here is which pairs there are, which
//! of them loads, and what the other tabs know of it. Nothing here knows burn, the models or the
//! page.

pub mod preflight;
#[cfg(target_family = "wasm")]
pub mod worker;
