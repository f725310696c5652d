//! What the engine measures where the page's address asks for it: a [`Measurement`] for each phase of
//! its work.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sampler::ModelRole;

/// A phase of the engine's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Weights are read from the store and go to the device.
    ReadingWeights,
    /// Programs that the job needs are still being compiled when the weights have been read.
    PreparingPrograms,
    /// A prompt goes through both text encoders.
    TextEncoding,
    /// A UNet's pass, with the scheduler's step after it.
    UnetPass {
        /// The model.
        model: ModelRole,
        /// Latents that go through it together; a guided step has two.
        batch: u32,
    },
    /// A step's target becomes a picture.
    Preview,
    /// A finished latent becomes the image.
    ImageDecode,
    /// A frame of a strip becomes a picture.
    StripFrame,
}

/// What one phase has taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The phase.
    pub phase: Phase,
    /// Its time, until the device was done with it.
    pub milliseconds: f64,
    /// What was asked of WebGPU since the phase before; none where WebGPU isn't there.
    pub gpu: Option<GpuCounts>,
}

/// What was asked of WebGPU since the counts before, and what is there now: what `snapshot` of
/// `www/gpu_counters.mjs` gives. All sizes are bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GpuCounts {
    /// Dispatches.
    pub launches: Launches,
    /// Calls of `submit`.
    pub submits: u64,
    /// Compute pipelines.
    pub pipelines: Pipelines,
    /// WGSL texts.
    pub shaders: Shaders,
    /// Buffers.
    pub buffers: Buffers,
    /// What the launches had bound.
    pub bindings: Bindings,
    /// Calls of `writeBuffer`.
    pub writes: Transfers,
    /// Calls of `copyBufferToBuffer`.
    pub copies: Transfers,
    /// Buffers that were mapped to be read.
    pub readbacks: u64,
    /// What the GPU complained of.
    pub errors: Vec<String>,
}

/// Dispatches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launches {
    /// All of them.
    pub total: u64,
    /// By the kernel's name.
    pub by_kernel: BTreeMap<String, u64>,
}

/// Compute pipelines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipelines {
    /// Those that were made.
    pub created: u64,
    /// Different ones that were launched.
    pub launched: u64,
}

/// WGSL texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shaders {
    /// Those that were compiled.
    pub created: u64,
    /// The lengths of all of them.
    pub bytes: u64,
    /// The longest one.
    pub largest_bytes: u64,
    /// Those in half precision.
    pub with_f16: u64,
    /// Those that use subgroups.
    pub with_subgroups: u64,
}

/// Buffers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buffers {
    /// Those that were made.
    pub created: u64,
    /// Those that the program has destroyed.
    pub destroyed: u64,
    /// Those that were dropped and collected.
    pub collected: u64,
    /// Those that are there now.
    pub count: u64,
    /// The sizes of those that are there now.
    pub bytes: u64,
    /// The most that there was at once.
    pub peak_bytes: u64,
    /// The largest one that was made.
    pub largest_bytes: u64,
}

/// What the launches had bound.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bindings {
    /// The sizes of all bindings of all launches.
    pub bytes: u64,
    /// The largest binding.
    pub largest_bytes: u64,
}

/// Copies of bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transfers {
    /// The number of calls.
    pub calls: u64,
    /// Bytes of all calls.
    pub bytes: u64,
}
