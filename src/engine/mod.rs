//! The engine: it owns the device and the models, draws jobs and posts
//! [`Event`](crate::protocol::engine::Event)s.
//!
//! [`Pair`] holds a pair's models on a device, and [`generate`] runs one job with them. Both know
//! neither the browser nor burn's choice of device, so native tests run the very code of the worker.
//! Only `worker` needs the browser.

mod adapted;
mod allowance;
mod attached;
mod error;
mod generate;
mod grid_state;
mod pair;
mod pair_files;
mod plan;
mod prompt;
mod run_manifest;
#[cfg(target_family = "wasm")]
pub mod worker;

pub use allowance::allowance;
pub use error::EngineError;
pub use generate::{Host, Outcome, StripRequest, generate, restore, strip};
pub use grid_state::GridState;
pub use pair::{Pair, describe, load_tokenizers};
pub use pair_files::PairFiles;
pub use plan::plan_for;
pub use prompt::{AdaptedPrompt, count, encode, prompts_of, tokenized, tokenized_by_both};
pub use run_manifest::run_manifest;
