//! Measures the phases of the engine's work, where the page asks for it.

use crate::browser::globals::gpu_counters::GpuCounters;
use crate::protocol::engine::DeviceKind;
use crate::protocol::stats::{Measurement, Phase};

/// Measures phases.
pub(super) struct Meter {
    /// None on the CPU.
    counters: Option<GpuCounters>,
}

impl Meter {
    /// A meter of an engine on this kind of device.
    pub fn of(device: DeviceKind) -> Self {
        let counters = match device {
            DeviceKind::WebGpu => GpuCounters::own(),
            DeviceKind::Cpu => None,
        };
        Meter { counters }
    }

    /// The measurement of a phase that has just ended.
    pub fn measure(&self, phase: Phase, milliseconds: f64) -> Measurement {
        Measurement {
            phase,
            milliseconds,
            gpu: self.counters.as_ref().and_then(GpuCounters::take),
        }
    }
}
