//! The engine: it owns the device and the models, takes jobs and reports what happens.
//!
//! [`Pair`] holds a pair's models on a device and [`generate`] runs one job with them; both know
//! neither the browser nor burn's choice of device, so the native tests run the very code of the
//! worker. What needs the browser is in `worker` alone. No user interface: the engine speaks in
//! [`Event`](crate::protocol::engine::Event)s.

mod error;
mod generate;
mod grid_state;
mod pair;
#[cfg(target_family = "wasm")]
pub mod worker;

pub use error::EngineError;
pub use generate::{Host, Outcome, StripRequest, generate, strip};
pub use grid_state::Kept;
pub use pair::{Pair, PairFiles, describe, plan_for};
