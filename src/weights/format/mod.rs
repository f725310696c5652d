//! Tensors as bytes: encodings, blocks, safetensors files, the names and the hashes of what is in
//! them.

mod blocks;
pub mod checkpoint;
pub mod encoder;
pub mod encoding;
pub mod layout;
pub mod names;
pub mod rules;
pub mod safetensors;
pub mod sha256;
pub mod tensor;
