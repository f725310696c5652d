//! Launching without computing, so that programs are compiled before there is anything to compute.

use burn::backend::wgpu::Wgpu;
use burn::tensor::{Device, Tensor};
use cubecl::dry_run::DryRun;

/// While it lives, launches compile their programs and compute nothing. The values of all tensors that come
/// of them are meaningless.
pub struct Rehearsal {
    _launches: DryRun,
}

impl Rehearsal {
    /// Begins one. Nothing may be computed on any device before it is dropped.
    #[expect(clippy::new_without_default, reason = "a guard is no value")]
    pub fn new() -> Self {
        Self {
            _launches: DryRun::new(),
        }
    }

    /// Launches. What is allocated meanwhile gets no memory of the device, but for tensors that are given
    /// values: the pools for temporary tensors would make their buffers at once.
    pub fn launch<Output: Send>(
        &self,
        device: &Device,
        launches: impl FnOnce() -> Output + Send,
    ) -> Output {
        match Tensor::<1>::empty([1], device).try_into_primitive::<Wgpu>() {
            Ok(any) => any.client.memory_persistent_allocation((), |()| launches()),
            Err(_) => launches(),
        }
    }
}
