//! Firststep: Stable Diffusion XL in the browser, with the diversity of the slow base model at the
//! speed of a distilled one.
//!
//! Data flows one way: bytes → weights → models → sampler → engine → page. The rooms stand below in
//! three floors; who may know whom is in `docs/architecture.md`, and `tests/house.rs` holds it.

// Ground: no device, no network, no page.
pub mod browser;
pub mod metrics;
pub mod picture;
pub mod recipe;
pub mod sampler;
pub mod vocabulary;

// Data: what is loaded, what is drawn with it, what is kept of it.
pub mod adapters;
pub mod history;
#[cfg(feature = "engine")]
pub mod models;
pub mod weights;

// Programs: the two workers, what they and the page say to each other, and the page.
#[cfg(feature = "engine")]
pub mod engine;
pub mod loader;
#[cfg(all(feature = "page", target_family = "wasm"))]
pub mod page;
pub mod protocol;
pub mod view;
