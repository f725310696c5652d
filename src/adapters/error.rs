//! What can be wrong with an adapter, by itself or for the base model that it is put on.

use crate::weights::TensorError;

/// Why an adapter can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AdapterError {
    /// No pair of `lora_A` and `lora_B` at all.
    #[error(
        "The adapter holds no LoRA in the layout of diffusers: it has no tensor named \
         ….lora_A.weight. Convert it to that layout first."
    )]
    NoBranch,
    /// A layer's branch lacks a part.
    #[error(
        "The adapter is incomplete: its layer {module} has no tensor {missing}. Get the file again \
         from its source."
    )]
    Incomplete {
        /// The layer.
        module: String,
        /// What follows the layer in the name of the tensor that is not there.
        missing: &'static str,
    },
    /// The parts of a branch are no matrices that can be multiplied.
    #[error(
        "The adapter's layer {module} has a lora_A of shape {down:?} and a lora_B of shape {up:?}, \
         where [rank, input, …] and [output, rank, 1, …] are expected. Get the file again from its \
         source."
    )]
    Parts {
        /// The layer.
        module: String,
        /// Shape of `lora_A`.
        down: Vec<usize>,
        /// Shape of `lora_B`.
        up: Vec<usize>,
    },
    /// The parts of a branch have different ranks.
    #[error(
        "The adapter's layer {module} has a lora_A of rank {down} and a lora_B of rank {up}: they \
         don't belong together. Get the file again from its source."
    )]
    Rank {
        /// The layer.
        module: String,
        /// Rank of `lora_A`.
        down: usize,
        /// Rank of `lora_B`.
        up: usize,
    },
    /// An alpha that is no number.
    #[error(
        "The adapter's layer {module} has an alpha that is not one finite number. Get the file \
         again from its source."
    )]
    Alpha {
        /// The layer.
        module: String,
    },
    /// The base has no such layer.
    #[error(
        "The adapter changes {name}, which the base model does not have ({count} such tensors): it \
         was made for another model. Use it with the base that it was trained on."
    )]
    MissingInBase {
        /// The first of them by name.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The base's layer is larger or smaller.
    #[error(
        "The adapter changes {name} in the shape {adapter:?}, but the base model has it in the \
         shape {base:?}: it was made for another model. Use it with the base that it was trained on."
    )]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape by the adapter.
        adapter: Vec<usize>,
        /// Its shape in the base model.
        base: Vec<usize>,
    },
    /// The file says that it is more than a plain LoRA.
    #[error(
        "The adapter's header can't be followed: {reason}. Only plain LoRA with one alpha is \
         supported there."
    )]
    Metadata {
        /// What is wrong or unknown, without a full stop.
        reason: String,
    },
    /// A tensor can't be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
