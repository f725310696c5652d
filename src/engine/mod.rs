//! The engine: it owns the device and the models, draws jobs and posts
//! [`Event`](crate::protocol::engine::Event)s.
//!
//! [`Pair`] holds a pair's models on a device, and [`generate`] runs one job with them;
//! [`Perceptual`] measures pictures, and [`Findings`] an experiment's. All know neither the browser nor burn's choice of device, so native tests run the very code of the worker.
//! Only `worker` needs the browser.

mod adapted;
mod allowance;
mod attached;
mod components;
mod described;
mod error;
mod findings;
mod generate;
mod grid_state;
mod host;
mod pair;
mod pair_files;
mod pass;
mod perceptual;
mod plan;
mod prompt;
#[cfg(feature = "gpu")]
mod rehearsal;
mod run_manifest;
mod told;
#[cfg(target_family = "wasm")]
pub mod worker;

pub use allowance::allowance;
pub use components::load_tokenizers;
pub use described::describe;
pub use error::EngineError;
pub use findings::Findings;
pub use generate::{generate, restore, strip};
pub use grid_state::GridState;
pub use host::{Host, Outcome, StripRequest};
pub use pair::Pair;
pub use pair_files::PairFiles;
pub use perceptual::{Perceptual, Seen};
pub use plan::plan_for;
pub use prompt::{AdaptedPrompt, count, encode, prompts_of, tokenized, tokenized_by_both};
#[cfg(feature = "gpu")]
pub use rehearsal::{OutlineFiles, Rehearsed};
pub use run_manifest::{Encodings, count_encodings, run_manifest};
