//! Everything that diffusers and transformers also compute, against the values that
//! `tools/reference` writes.

mod adapter;
mod jobs;
mod metrics;
mod models;
mod pictures;
mod quantization;
mod sampler;
mod support;
mod tokenizer;
