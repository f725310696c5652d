//! Chooses the device that the models run on.

use burn::tensor::Device;
use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::{
    EngineError,
    protocol::{DeviceInfo, DeviceKind, DevicePreference},
    software_adapter::is_software,
};

/// The WebGPU adapter that the browser offers.
struct Adapter {
    description: String,
    is_software: bool,
}

/// Chooses a device: a hardware WebGPU adapter where there is one, else burn's CPU backend.
///
/// # Errors
/// WebGPU was asked for and there is none, or it can't be initialized.
pub async fn select(preference: DevicePreference) -> Result<(Device, DeviceInfo), EngineError> {
    let adapter = if preference == DevicePreference::Cpu {
        Err("the address asks for the CPU".to_owned())
    } else {
        request_adapter().await
    };
    match (adapter, preference) {
        (Ok(adapter), DevicePreference::Automatic) if adapter.is_software => Ok(cpu(format!(
            "This browser has no hardware WebGPU adapter ({}), so the models run on the CPU: slower, with the same pictures.",
            adapter.description
        ))),
        (Ok(adapter), _) => match Device::wgpu_options().init_async().await {
            Ok(device) => Ok((
                device,
                DeviceInfo {
                    kind: DeviceKind::WebGpu,
                    description: adapter.description,
                    notice: None,
                },
            )),
            Err(error) if preference == DevicePreference::Automatic => Ok(cpu(format!(
                "WebGPU could not be started ({error}), so the models run on the CPU: slower, with the same pictures."
            ))),
            Err(error) => Err(EngineError::NoWebGpu {
                reason: error.to_string(),
            }),
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

fn cpu(notice: String) -> (Device, DeviceInfo) {
    (
        Device::flex(),
        DeviceInfo {
            kind: DeviceKind::Cpu,
            description: "CPU, WebAssembly with SIMD".into(),
            notice: Some(notice),
        },
    )
}

/// Asks the browser directly: what wgpu tells of an adapter on the web leaves out whether it is
/// a software one.
async fn request_adapter() -> Result<Adapter, String> {
    let get = |object: &JsValue, key: &str| Reflect::get(object, &key.into()).ok();
    let navigator = get(&js_sys::global(), "navigator").unwrap_or_default();
    let gpu = get(&navigator, "gpu")
        .filter(|gpu| gpu.is_object())
        .ok_or("navigator.gpu is missing")?;
    let request: Function = get(&gpu, "requestAdapter")
        .and_then(|function| function.dyn_into().ok())
        .ok_or("navigator.gpu has no requestAdapter")?;
    let options = Object::new();
    // Failing to set a property of a new object is impossible; the default would do as well.
    let _ = Reflect::set(
        &options,
        &"powerPreference".into(),
        &"high-performance".into(),
    );
    let describe = |error: JsValue| {
        get(&error, "message")
            .and_then(|message| message.as_string())
            .unwrap_or_else(|| format!("{error:?}"))
    };
    let promise: Promise = request
        .call1(&gpu, &options)
        .map_err(describe)?
        .dyn_into()
        .map_err(|_| "requestAdapter gave no promise")?;
    let adapter = JsFuture::from(promise).await.map_err(describe)?;
    if !adapter.is_object() {
        return Err("it has no adapter for this machine".into());
    }
    let info = get(&adapter, "info").unwrap_or_default();
    let text = |key| get(&info, key).and_then(|value| value.as_string());
    let words: Vec<String> = ["description", "vendor", "architecture", "device"]
        .into_iter()
        .filter_map(text)
        .filter(|word| !word.is_empty())
        .collect();
    let description = if words.is_empty() {
        "WebGPU adapter".to_owned()
    } else {
        words.join(", ")
    };
    let is_fallback = [&adapter, &info].into_iter().any(|object| {
        get(object, "isFallbackAdapter").is_some_and(|value| value.as_bool() == Some(true))
    });
    Ok(Adapter {
        is_software: is_fallback || is_software(&description),
        description,
    })
}
