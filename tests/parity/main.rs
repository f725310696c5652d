//! Everything that diffusers and transformers also compute, against the values that
//! `tools/reference` writes.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test ends where something is not as it should be"
)]

mod adapter;
mod attached;
mod jobs;
mod measuring;
mod memory;
mod metrics;
mod models;
mod perceptual;
mod pictures;
mod prompts;
mod quantization;
mod sampler;
mod stacked;
mod support;
mod tokenizer;
