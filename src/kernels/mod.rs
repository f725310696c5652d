//! What the models compute with: each operation of a layer as one call, with everything that follows
//! it in the same call, so that a graphics card reads and writes memory as rarely as it can.
//!
//! On a graphics card an operation is a kernel of our own, and so it is on the CPU in the browser;
//! natively the CPU's are burn's plain operations. A model knows neither. Feature maps have their
//! channels last, `[batch, height, width, channels]`, from the first layer to the last: the pixels of a
//! map are the rows of a matrix, and a transformer's tokens.

#![expect(
    clippy::indexing_slicing,
    reason = "shapes are checked when a model is built, and a tensor has as many dimensions as its type says"
)]

#[cfg(feature = "gpu")]
mod canary;
mod cpu;
mod forms;
#[cfg(feature = "gpu")]
mod gpu;
mod layer;
mod matrix;
mod operations;
mod plain;
#[cfg(feature = "gpu")]
mod probe;
#[cfg(feature = "gpu")]
mod rehearsal;
#[cfg(feature = "gpu")]
mod trial;

#[cfg(feature = "gpu")]
pub use canary::{HalfFault, check_half, launch_canary};
pub use forms::{AdapterClass, Budget, Choice, Form, Forms, Times};
#[cfg(feature = "gpu")]
pub use gpu::{
    Counts, TASKS, chosen_forms, forms, is_half, set_choice, set_forms, set_half, set_software,
    take_counts,
};
pub use layer::{
    Activation, After, BranchPart, BranchScale, Embedding, Heads, Layer, LowRank, Norm, Sampling,
    Strengths,
};
pub use matrix::{Matrix, matrix_shape, outlined};
pub use operations::{
    attention, convolution, group_norm, layer_norm, linear, pixelwise, to_activations,
};
pub use plain::{contiguous, to_f32};
#[cfg(feature = "gpu")]
pub use probe::{launch_probe, probe};
#[cfg(feature = "gpu")]
pub use rehearsal::Rehearsal;
