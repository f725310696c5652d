//! The choice of the device that the models run on.

use burn::tensor::Device;

use super::choices::{self, LeftUndone, Trial};
use super::preparation;
use crate::browser::adapter_limits::AdapterLimits;
use crate::browser::globals::gpu;
use crate::engine::error::EngineError;
use crate::kernels::{self, AdapterClass, HalfFault};
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
                let notice = match use_half(&adapter, &device).await {
                    Ok(notice) => notice,
                    Err(reason) if preference == DevicePreference::Automatic => {
                        return Ok(cpu(format!(
                            "The browser could not compile a program for the adapter {} ({reason}), so the models run on the CPU: slower, with the same pictures.",
                            adapter.description
                        )));
                    }
                    Err(reason) => return Err(EngineError::Program { reason }),
                };
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
///
/// # Errors
/// Why the adapter is of no use: a program in single precision can't be compiled.
async fn use_half(adapter: &AdapterLimits, device: &Device) -> Result<Option<String>, String> {
    if !adapter.has_f16 {
        return Ok(None);
    }
    let launch = |is_half| move || drop(kernels::launch_canary(device, is_half));
    preparation::compile(device, launch(false)).await?;
    let trial = match Trial::begin(adapter).await {
        Ok(trial) => trial,
        Err(LeftUndone) => {
            return Ok(Some(without_half(
                adapter,
                "did not get through its trial of half precision",
            )));
        }
    };
    let checked = match preparation::compile(device, launch(true)).await {
        Ok(()) => kernels::check_half(device).await,
        Err(reason) => Err(HalfFault::Program(reason)),
    };
    // After a failure of the device, the next worker is not to try it at once.
    if !matches!(checked, Err(HalfFault::Device(_))) {
        trial.end().await;
    }
    Ok(match checked {
        Ok(()) => {
            kernels::set_half(true);
            None
        }
        Err(fault) => Some(without_half(adapter, &fault.to_string())),
    })
}

/// What the visitor is told where half precision is not used; `fault` goes on after the adapter's name.
fn without_half(adapter: &AdapterLimits, fault: &str) -> String {
    format!(
        "The adapter {} {fault}, so the models use twice the memory for what they compute.",
        adapter.description
    )
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
