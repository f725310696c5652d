//! The counters of what this worker asks of WebGPU, where `www/start_engine.js` has loaded them.

use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;

use super::js;

/// The counters of `www/gpu_counters.mjs`.
pub struct GpuCounters(JsValue);

impl GpuCounters {
    /// The counters of this worker; none where they were not loaded before the program.
    pub fn own() -> Option<Self> {
        js::global("gpuCounters").map(GpuCounters)
    }

    /// The counts since the last call; none where they are not of this type.
    pub fn take<Counts: DeserializeOwned>(&self) -> Option<Counts> {
        let counts = js::call(&self.0, "snapshot", &[]).ok()?;
        js::call(&self.0, "reset", &[]).ok()?;
        serde_wasm_bindgen::from_value(counts).ok()
    }
}
