//! What can be wrong with an adapter, by itself or for the base model that it is put on.

use crate::weights::format::tensor::TensorError;

/// Why an adapter can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum AdapterError {
    /// No layer's branch at all.
    #[error(
        "The adapter holds no LoRA: it has no tensor named ….lora_A.weight or ….lora_down.weight. \
         Use a LoRA in the layout of diffusers, PEFT, LyCORIS or kohya's scripts."
    )]
    NoBranch,
    /// Nothing but layers of text encoders.
    #[error(
        "The adapter changes {name}, a layer of a text encoder ({count} such tensors), and nothing of the \
         UNet; adapters are put on the UNet alone. Use one that was trained on the UNet."
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
    /// A kind of adapter that isn't computed here.
    #[error(
        "The adapter is {kind} ({name}, {count} such tensors), which is not computed here: the rest of it \
         alone would draw other pictures. Use a plain LoRA, LoCon, LoHa or LoKr."
    )]
    Kind {
        kind: &'static str,
        name: String,
        count: usize,
    },
    /// The factors of a LoHa, a LoKr or a LoCon with a core don't belong together.
    #[error(
        "The adapter's layer {module} has factors that don't belong together: {what}. Get the file again \
         from its source."
    )]
    Factors { module: String, what: &'static str },
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
        "The adapter's header or configuration can't be followed: {reason}. Use a LoRA that was saved \
         without that."
    )]
    Metadata { reason: String },
    /// A tensor can't be read.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}
