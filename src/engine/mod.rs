//! The engine: it owns the device and the models, takes jobs and reports what happens.
//!
//! [`protocol`] and [`recipe`] are what the page shares with it. [`Pair`] holds a pair's models on
//! a device and [`generate`] runs one job with them; both know neither the browser nor burn's
//! choice of device, so the native tests run the very code of the worker. What needs the browser
//! (`device`, `worker`) exists there alone. No user interface: the engine speaks in [`protocol::Event`]s.

#[cfg(feature = "engine")]
mod error;
#[cfg(feature = "engine")]
mod generate;
#[cfg(feature = "engine")]
mod kept;
#[cfg(feature = "engine")]
mod pair;
pub mod protocol;
pub mod recipe;

#[cfg(all(feature = "engine", target_family = "wasm"))]
mod device;
#[cfg(all(feature = "engine", target_family = "wasm"))]
mod errands;
#[cfg(all(feature = "engine", target_family = "wasm"))]
pub mod worker;

#[cfg(feature = "engine")]
pub use error::EngineError;
#[cfg(feature = "engine")]
pub use generate::{Host, Outcome, StripRequest, generate, strip};
#[cfg(feature = "engine")]
pub use kept::Kept;
#[cfg(feature = "engine")]
pub use pair::{Pair, PairFiles, describe, plan_for};
