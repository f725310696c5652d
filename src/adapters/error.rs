//! What can be wrong with an adapter, by itself or for the base model that it is put on.

use crate::weights::format::tensor::TensorError;

/// Why an adapter can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum AdapterError {
    /// No layer's branch at all.
    #[error(
        "The adapter holds no LoRA: it has no tensor named ….lora_A.weight or ….lora_down.weight. \
         Use a LoRA in the layout of diffusers or of kohya's scripts."
    )]
    NoBranch,
    /// Layers of a text encoder.
    #[error(
        "The adapter changes {name}, a layer of a text encoder ({count} such tensors); adapters \
         are put on the UNet alone. Use one that was trained without the text encoders."
    )]
    TextEncoder { name: String, count: usize },
    /// A layer's branch lacks a part.
    #[error(
        "The adapter is incomplete: its layer {module} has no {missing}. Get the file again from \
         its source."
    )]
    Incomplete {
        module: String,
        missing: &'static str,
    },
    /// The parts of a branch are no matrices that can be multiplied.
    #[error(
        "The adapter's layer {module} has a down projection of shape {down:?} and an up \
         projection of shape {up:?}, where [rank, input, …] and [output, rank, 1, …] are expected. Get the file again from its \
         source."
    )]
    Parts {
        module: String,
        down: Vec<usize>,
        up: Vec<usize>,
    },
    /// The parts of a branch have different ranks.
    #[error(
        "The adapter's layer {module} has a down projection of rank {down} and an up projection of \
         rank {up}: they don't belong together. Get the file again from its source."
    )]
    Rank {
        module: String,
        down: usize,
        up: usize,
    },
    /// An alpha that is no number.
    #[error(
        "The adapter's layer {module} has an alpha that is not one finite number. Get the file \
         again from its source."
    )]
    Alpha { module: String },
    /// The base has no such layer.
    #[error(
        "The adapter changes {name}, which the base model does not have ({count} such tensors): it \
         was made for another model. Use it with the base that it was trained on."
    )]
    MissingInBase { name: String, count: usize },
    /// The base's layer is larger or smaller.
    #[error(
        "The adapter changes {name} in the shape {adapter:?}, but the base model has it in the \
         shape {base:?}: it was made for another model. Use it with the base that it was trained on."
    )]
    Shape {
        name: String,
        adapter: Vec<usize>,
        base: Vec<usize>,
    },
    /// The file says that it is more than a plain LoRA.
    #[error(
        "The adapter's header can't be followed: {reason}. Only plain LoRA with one alpha is \
         supported there."
    )]
    Metadata { reason: String },
    /// A tensor can't be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
