//! What a WebGPU adapter says of itself, as the messages carry it.

use serde::{Deserialize, Serialize};

/// What a WebGPU adapter offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterLimits {
    /// The browser's words for it.
    pub description: String,
    /// Whether it computes on the CPU.
    pub is_software: bool,
    /// Whether shaders can compute in half precision.
    pub has_f16: bool,
    /// `maxBufferSize` in bytes.
    pub buffer: u64,
    /// `maxStorageBufferBindingSize` in bytes.
    pub binding: u64,
}
