//! The loader: it loads pairs of models into this browser's store, in a worker of its own, so that the
//! engine can draw meanwhile.
//!
//! [`weights`](crate::weights) turns bytes into records. The loader lists the pairs, decides which of
//! them loads, and tells the other tabs. It knows nothing of burn, the models or the page.

pub mod distillations;
pub mod preflight;
pub mod scheduling;
#[cfg(target_family = "wasm")]
pub mod worker;
