//! What the browser has: its WebGPU adapter and its storage. Asked of the objects themselves, since
//! the loader is built without a GPU library.

use js_sys::{Function, Object, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::protocol::{AdapterLimits, Storage};
use crate::engine::software_adapter::is_software;

fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into())
        .ok()
        .filter(|value| !value.is_undefined() && !value.is_null())
}

async fn call(object: &JsValue, name: &str, argument: &JsValue) -> Option<JsValue> {
    let function: Function = get(object, name)?.dyn_into().ok()?;
    let promise: Promise = function.call1(object, argument).ok()?.dyn_into().ok()?;
    JsFuture::from(promise).await.ok()
}

fn navigator() -> Option<JsValue> {
    get(&js_sys::global(), "navigator")
}

/// The limits of the adapter that the engine would take; none where there is no WebGPU.
pub(super) async fn limits() -> Option<AdapterLimits> {
    let gpu = get(&navigator()?, "gpu")?;
    let options = Object::new();
    // Setting a property of a new object can't fail.
    let _ = Reflect::set(
        &options,
        &"powerPreference".into(),
        &"high-performance".into(),
    );
    let adapter = call(&gpu, "requestAdapter", &options).await?;
    if !adapter.is_object() {
        return None;
    }
    let info = get(&adapter, "info").unwrap_or_default();
    let words: Vec<String> = ["description", "vendor", "architecture", "device"]
        .into_iter()
        .filter_map(|key| get(&info, key)?.as_string())
        .filter(|word| !word.is_empty())
        .collect();
    let description = if words.is_empty() {
        "WebGPU adapter".to_owned()
    } else {
        words.join(", ")
    };
    let is_fallback = [&adapter, &info]
        .into_iter()
        .any(|object| get(object, "isFallbackAdapter").is_some_and(|it| it.is_truthy()));
    let features = get(&adapter, "features")?;
    let has = |feature: &str| {
        let function: Function = get(&features, "has")?.dyn_into().ok()?;
        function.call1(&features, &feature.into()).ok()?.as_bool()
    };
    let limits = get(&adapter, "limits")?;
    let limit = |name: &str| get(&limits, name).and_then(|it| it.as_f64()).unwrap_or(0.0) as u64;
    Some(AdapterLimits {
        is_software: is_fallback || is_software(&description),
        has_f16: has("shader-f16").unwrap_or(false),
        buffer: limit("maxBufferSize"),
        binding: limit("maxStorageBufferBindingSize"),
        description,
    })
}

/// What the browser says of the site's storage.
pub(super) async fn storage() -> Storage {
    let ask = async {
        let storage = get(&navigator()?, "storage")?;
        let estimate = call(&storage, "estimate", &JsValue::UNDEFINED).await?;
        let number = |name: &str| get(&estimate, name)?.as_f64();
        let persisted = call(&storage, "persisted", &JsValue::UNDEFINED).await;
        Some(Storage {
            usage: number("usage"),
            quota: number("quota"),
            is_persistent: persisted.is_some_and(|it| it.is_truthy()),
        })
    };
    ask.await.unwrap_or_default()
}
