//! `pack`: makes a pack for a static host from a pair of models in diffusers' layout, or from several
//! pairs that share a base model.
//!
//! Usage: `pack <models> <output> --pair <pair.json> [--pair <relative.json> …] [--vocabulary
//! <vocabulary.json>]`, or `pack layout <config.json> [--lora <rank> | --checkpoint]`
//!
//! `<models>` holds the folders `unet`, `unet_distilled`, `text_encoder`, `text_encoder_2`, `vae`,
//! `tokenizer`, `tokenizer_2`, `scheduler` and `scheduler_distilled`, and may hold `tiny_decoder`.
//! `<pair.json>` describes the pair and says which tensors are quantized how
//! (`firststep::weights::manifest::pack::PairDescription`). `<output>` gets the weights and `manifest.json`.
//!
//! A relative has the same base and another distilled model: with `"distilled": "lightning"` in its
//! description, that is in `unet_lightning` and `scheduler_lightning`, and its manifest is
//! `lightning.json`. The distilled folder holds a whole UNet, or a LoRA on `unet` as diffusers
//! saves it (`pytorch_lora_weights.safetensors`) beside the resulting UNet's `config.json`. Files
//! that are the same are written once, and each manifest names all pairs of the call.
//!
//! A model's weights are diffusers' single file or its shards, also in the variant `fp16`, or the only
//! safetensors file of another name in its folder. They are read tensor by tensor, so that a pair of any size can be
//! packed in little memory.
//!
//! `<vocabulary.json>` lists what all of them were trained to draw
//! (`firststep::vocabulary::Vocabulary`), for the page's suggestions.
//!
//! `pack layout` prints the names and shapes of the tensors that a model has, by the `config.json` in
//! its folder (`-`: the standard input); of a LoRA on it with `--lora`, and as they stand in a
//! single-file checkpoint with `--checkpoint`. The scripts in `tools/sdxl` take SDXL's layout from it.

#![expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program for the command line, which reads files of the one who calls it"
)]

#[cfg(not(target_family = "wasm"))]
mod program;

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    match program::run(std::env::args().skip(1)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            std::process::ExitCode::FAILURE
        }
    }
}
