//! What the browser has: its WebGPU adapter and its storage. Asked of the objects themselves, since
//! the loader is built without a GPU library.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::protocol::{AdapterLimits, Storage};
use crate::web_gpu;

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
    let adapter = web_gpu::request_adapter().await.ok()?;
    let features = get(&adapter.object, "features")?;
    let has = |feature: &str| {
        let function: Function = get(&features, "has")?.dyn_into().ok()?;
        function.call1(&features, &feature.into()).ok()?.as_bool()
    };
    let limits = get(&adapter.object, "limits")?;
    let limit = |name: &str| {
        let limit = get(&limits, name).and_then(|limit| limit.as_f64());
        limit.unwrap_or(0.0) as u64
    };
    Some(AdapterLimits {
        has_f16: has("shader-f16").unwrap_or(false),
        buffer: limit("maxBufferSize"),
        binding: limit("maxStorageBufferBindingSize"),
        is_software: adapter.is_software,
        description: adapter.description,
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
