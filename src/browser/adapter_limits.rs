//! The features and limits of a WebGPU adapter, as the messages carry them.

use serde::{Deserialize, Serialize};

/// Bytes of a storage binding that WebGPU promises on every adapter.
pub const SMALLEST_BINDING: u32 = 128 << 20;

/// The features and limits of a WebGPU adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterLimits {
    /// The browser's description of the adapter.
    pub description: String,
    /// Whether the adapter computes on the CPU.
    pub is_software: bool,
    /// Whether shaders can compute in half precision.
    pub has_f16: bool,
    /// `maxBufferSize` in bytes.
    pub buffer: u64,
    /// `maxStorageBufferBindingSize` in bytes.
    pub binding: u64,
    /// `maxComputeWorkgroupStorageSize` in bytes.
    pub workgroup_storage: u64,
    /// `maxComputeInvocationsPerWorkgroup`.
    pub workgroup_invocations: u64,
    /// The smallest and the largest subgroup, as the adapter reports them; none where shaders can't use
    /// subgroups.
    pub subgroups: Option<[u64; 2]>,
}

/// Why there is no WebGPU adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAdapter {
    /// The page came over plain http from another machine, over which browsers keep WebGPU from it.
    Insecure,
    /// Another reason, as a clause without a full stop.
    Missing(String),
}

impl std::fmt::Display for NoAdapter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            NoAdapter::Insecure => {
                "this page came over plain http, and browsers allow WebGPU only over https or from localhost: \
                 open it over https, or on the machine that serves it as http://localhost"
            }
            NoAdapter::Missing(reason) => reason,
        })
    }
}
