//! Firststep: Stable Diffusion XL in the browser, with the diversity of the slow base model at the
//! speed of a distilled one.
//!
//! Data flows one way: bytes → weights → models → sampler → engine → page.

#[cfg(feature = "engine")]
pub mod adapters;
pub mod engine;
pub mod history;
#[cfg(all(feature = "engine", target_family = "wasm"))]
mod indexed_db;
pub mod loader;
pub mod metrics;
#[cfg(feature = "engine")]
pub mod models;
#[cfg(all(feature = "page", target_family = "wasm"))]
pub mod page;
pub mod sampler;
pub mod share;
pub mod timeline;
pub mod vocabulary;
#[cfg(feature = "engine")]
pub mod weights;
