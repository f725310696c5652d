//! The choice of the device that the models run on.

use burn::tensor::Device;

use super::choices;
use crate::browser::adapter_limits::AdapterLimits;
use crate::browser::globals::gpu;
use crate::engine::error::EngineError;
use crate::kernels::{self, AdapterClass};
use crate::protocol::engine::{DeviceInfo, DeviceKind};
use crate::recipe::device::DevicePreference;

/// Selects a device. Without a preference that is a hardware WebGPU adapter where there is one, and else
/// burn's CPU backend.
///
/// # Errors
/// The preference is WebGPU, and there is no adapter or it can't be initialized.
pub async fn select(preference: DevicePreference) -> Result<(Device, DeviceInfo), EngineError> {
    let adapter = if preference == DevicePreference::Cpu {
        Err("the address asks for the CPU".to_owned())
    } else {
        let adapter = gpu::request_adapter().await;
        adapter.map_err(|reason| reason.to_string())
    };
    match (adapter, preference) {
        (Ok(adapter), DevicePreference::Automatic) if adapter.is_software => Ok(cpu(format!(
            "This browser has no hardware WebGPU adapter ({}), so the models run on the CPU: slower, with the same pictures.",
            adapter.description
        ))),
        (Ok(adapter), _) => match wgpu_device().await {
            Ok(device) => {
                let class = AdapterClass::of(&adapter.description, adapter.is_software);
                kernels::set_choice(class.choice());
                let notice = use_half(&adapter, &device).await;
                if !class.is_measured() {
                    choices::choose(&adapter, &device, class.choice()).await;
                }
                let info = DeviceInfo {
                    kind: DeviceKind::WebGpu,
                    description: adapter.description.clone(),
                    adapter: Some(adapter),
                    forms: Some(kernels::chosen_forms()),
                    notice,
                };
                Ok((device, info))
            }
            Err(error) if preference == DevicePreference::Automatic => Ok(cpu(format!(
                "WebGPU could not be started ({error}), so the models run on the CPU: slower, with the same pictures."
            ))),
            Err(reason) => Err(EngineError::NoWebGpu { reason }),
        },
        (Err(reason), DevicePreference::WebGpu) => Err(EngineError::NoWebGpu { reason }),
        (Err(_), DevicePreference::Cpu) => Ok(cpu(
            "The models run on the CPU because the address asks for it.".into(),
        )),
        (Err(reason), DevicePreference::Automatic) => Ok(cpu(format!(
            "This browser offers no WebGPU ({reason}), so the models run on the CPU: slower, with the same pictures."
        ))),
    }
}

async fn wgpu_device() -> Result<Device, String> {
    let options = Device::wgpu_options().tasks_max(kernels::TASKS);
    options
        .init_async()
        .await
        .map_err(|error| error.to_string())
}

/// Keeps activations as half-precision numbers where the adapter has them and computes with them as it
/// should. Returns what the visitor is told where it doesn't.
async fn use_half(adapter: &AdapterLimits, device: &Device) -> Option<String> {
    if !adapter.has_f16 {
        return None;
    }
    match kernels::check_half(device).await {
        Ok(()) => {
            kernels::set_half(true);
            None
        }
        Err(reason) => Some(format!(
            "The adapter {} {reason}, so the models use twice the memory for what they compute.",
            adapter.description
        )),
    }
}

fn cpu(notice: String) -> (Device, DeviceInfo) {
    (
        Device::flex(),
        DeviceInfo {
            kind: DeviceKind::Cpu,
            description: "CPU, WebAssembly with SIMD".into(),
            adapter: None,
            forms: None,
            notice: Some(notice),
        },
    )
}
