//! Which device the visitor asks for.

use serde::{Deserialize, Serialize};

/// What the visitor asked for in the address; `Automatic` is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DevicePreference {
    /// A hardware WebGPU adapter where there is one, else the CPU.
    #[default]
    Automatic,
    /// WebGPU, even on a software adapter; an error where there is none.
    WebGpu,
    /// burn's CPU backend in wasm.
    Cpu,
}

/// The word of a [`DevicePreference`] in links.
pub fn device_key(device: DevicePreference) -> &'static str {
    match device {
        DevicePreference::Automatic => "automatic",
        DevicePreference::WebGpu => "webgpu",
        DevicePreference::Cpu => "cpu",
    }
}
