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

impl DevicePreference {
    /// Every preference.
    pub const ALL: [DevicePreference; 3] = [
        DevicePreference::Automatic,
        DevicePreference::WebGpu,
        DevicePreference::Cpu,
    ];

    /// The preference's word in links.
    pub fn key(self) -> &'static str {
        match self {
            DevicePreference::Automatic => "automatic",
            DevicePreference::WebGpu => "webgpu",
            DevicePreference::Cpu => "cpu",
        }
    }

    /// The preference of a [`DevicePreference::key`].
    pub fn from_key(key: &str) -> Option<DevicePreference> {
        DevicePreference::ALL
            .into_iter()
            .find(|device| device.key() == key)
    }
}
