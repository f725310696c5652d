//! The WebGPU adapter that the browser offers, asked of the browser itself: the loader is built without
//! a GPU library, and what wgpu tells of an adapter on the web leaves out whether it is a software one.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::loader::protocol::AdapterLimits;

/// Names of adapters that compute on the CPU, in the words of their descriptions. A browser may
/// leave out `isFallbackAdapter` and still offer one of these.
const SOFTWARE_ADAPTERS: [&str; 5] = [
    "swiftshader",
    "llvmpipe",
    "lavapipe",
    "basic render",
    "software",
];

/// Whether an adapter with this description is one of them.
fn is_software(description: &str) -> bool {
    let lower_case = description.to_lowercase();
    SOFTWARE_ADAPTERS
        .iter()
        .any(|name| lower_case.contains(name))
}

/// Asks for the adapter with the most power.
///
/// # Errors
/// There is none: why, without a full stop.
pub(crate) async fn request_adapter() -> Result<AdapterLimits, String> {
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
    let has = |feature: &str| {
        let features = get(&adapter, "features")?;
        let has: Function = get(&features, "has")?.dyn_into().ok()?;
        has.call1(&features, &feature.into()).ok()?.as_bool()
    };
    let limits = get(&adapter, "limits").unwrap_or_default();
    let limit = |name: &str| {
        let limit = get(&limits, name).and_then(|limit| limit.as_f64());
        limit.unwrap_or(0.0) as u64
    };
    Ok(AdapterLimits {
        is_software: is_fallback || is_software(&description),
        has_f16: has("shader-f16").unwrap_or(false),
        buffer: limit("maxBufferSize"),
        binding: limit("maxStorageBufferBindingSize"),
        description,
    })
}
