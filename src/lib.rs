//! Firststep: Stable Diffusion XL in the browser, with the diversity of the slow base model at the
//! speed of a distilled one.
//!
//! Data flows one way: bytes → weights → models → sampler → engine → page. The rooms stand below on
//! three floors. `docs/architecture.md` says who may know whom, and `tests/house.rs` checks it.

// Ground: no device, no network, no page.
pub mod browser;
pub mod metrics;
pub mod picture;
pub mod recipe;
pub mod results;
pub mod sampler;
pub mod vocabulary;

// Data: weights, the models that are built of them, and the history of runs.
pub mod adapters;
pub mod history;
#[cfg(feature = "engine")]
pub mod kernels;
#[cfg(feature = "engine")]
pub mod models;
pub mod weights;

// Programs: the two workers, the messages between them and the page, the page, and runs without it.
#[cfg(all(feature = "engine", not(target_family = "wasm")))]
pub mod batch;
#[cfg(feature = "engine")]
pub mod engine;
pub mod loader;
#[cfg(all(feature = "page", target_family = "wasm"))]
pub mod page;
pub mod protocol;
pub mod view;
