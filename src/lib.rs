//! Firststep: Stable Diffusion XL in the browser, with the diversity of the slow base model at the
//! speed of a distilled one.
//!
//! Data flows one way: bytes → weights → models → sampler → engine → page.

#[cfg(feature = "engine")]
pub mod adapters;
pub mod engine;
#[cfg(feature = "weights")]
pub mod footprint;
pub mod history;
#[cfg(all(feature = "weights", target_family = "wasm"))]
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
#[cfg(all(any(feature = "engine", feature = "loader"), target_family = "wasm"))]
mod web_gpu;
#[cfg(feature = "weights")]
pub mod weights;
