//! What the kernels' launches ask of a graphics card, counted: numbers that don't depend on the machine.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::wgpu::CubeTensor;

/// Launches of the kernels and the memory that they are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Launches by the kernel's name.
    pub launches: BTreeMap<&'static str, u64>,
    /// Bytes of all buffers that were given to launches, once for each launch.
    pub bytes_bound: u64,
    /// Bytes of the largest buffer among them.
    pub largest_binding: u64,
}

static COUNTS: Mutex<Counts> = Mutex::new(Counts {
    launches: BTreeMap::new(),
    bytes_bound: 0,
    largest_binding: 0,
});

fn counts() -> MutexGuard<'static, Counts> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a launch with the tensors that it is given.
pub fn note<'a>(kernel: &'static str, tensors: impl IntoIterator<Item = &'a CubeTensor>) {
    // A browser's page counts at WebGPU itself: www/gpu_counters.mjs.
    if cfg!(target_family = "wasm") {
        return;
    }
    let mut counts = counts();
    *counts.launches.entry(kernel).or_default() += 1;
    for tensor in tensors {
        let bytes = tensor.handle.size_in_used();
        counts.bytes_bound += bytes;
        counts.largest_binding = counts.largest_binding.max(bytes);
    }
}

/// What was counted since the last call.
pub fn take_counts() -> Counts {
    std::mem::take(&mut counts())
}
