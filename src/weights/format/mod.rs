//! Tensors as bytes: how values are encoded in blocks, how safetensors files hold and name them, and
//! their hashes.

#![expect(
    clippy::indexing_slicing,
    reason = "blocks and their buffers have fixed sizes"
)]

mod blocks;
pub mod checkpoint;
pub mod dtype;
pub mod encoder;
pub mod encoding;
pub mod kind;
pub mod layout;
pub mod names;
pub mod order;
pub mod rules;
pub mod safetensors;
pub mod sha256;
pub mod tensor;
pub mod tokenizer_json;
pub mod torch_file;
