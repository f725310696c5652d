//! The WebGPU adapter that the browser offers. The browser itself is asked for it: the loader is built
//! without a GPU library, and wgpu doesn't tell whether an adapter on the web is a software one.

use js_sys::Object;
use wasm_bindgen::JsValue;

use super::js;
use crate::browser::adapter_limits::{AdapterLimits, NoAdapter};

/// Words in the descriptions of adapters that compute on the CPU. A browser may offer one of these
/// without `isFallbackAdapter`.
const SOFTWARE_ADAPTERS: [&str; 5] = [
    "swiftshader",
    "llvmpipe",
    "lavapipe",
    "basic render",
    "software",
];

/// Whether an adapter with this description computes on the CPU.
fn is_software(description: &str) -> bool {
    let lower_case = description.to_lowercase();
    SOFTWARE_ADAPTERS
        .iter()
        .any(|name| lower_case.contains(name))
}

/// Requests the adapter with the most power.
///
/// # Errors
/// Why there is no adapter.
pub async fn request_adapter() -> Result<AdapterLimits, NoAdapter> {
    let gpu = js::global("navigator")
        .and_then(|navigator| js::get(&navigator, "gpu"))
        .filter(JsValue::is_object)
        .ok_or_else(|| {
            let is_secure = js::global("isSecureContext").and_then(|it| it.as_bool());
            match is_secure {
                Some(false) => NoAdapter::Insecure,
                _ => NoAdapter::Missing("navigator.gpu is missing".into()),
            }
        })?;
    let options = Object::new();
    js::set(&options, "powerPreference", "high-performance");
    let adapter = js::call_async(&gpu, "requestAdapter", &[options.into()])
        .await
        .map_err(|error| NoAdapter::Missing(js::message(&error)))?;
    if !adapter.is_object() {
        return Err(NoAdapter::Missing(
            "it has no adapter for this machine".into(),
        ));
    }
    let info = js::get(&adapter, "info").unwrap_or_default();
    let words: Vec<String> = ["description", "vendor", "architecture", "device"]
        .into_iter()
        .filter_map(|name| js::get(&info, name)?.as_string())
        .filter(|word| !word.is_empty())
        .collect();
    let description = if words.is_empty() {
        "WebGPU adapter".to_owned()
    } else {
        words.join(", ")
    };
    let is_fallback = [&adapter, &info].into_iter().any(|object| {
        js::get(object, "isFallbackAdapter").is_some_and(|value| value.as_bool() == Some(true))
    });
    let has_feature = |name: &str| {
        js::get(&adapter, "features")
            .and_then(|features| js::call(&features, "has", &[name.into()]).ok())
            .is_some_and(|has| has.is_truthy())
    };
    let number = |object: &JsValue, name: &str| {
        let number = js::get(object, name).and_then(|number| number.as_f64());
        number.unwrap_or(0.0) as u64
    };
    let limits = js::get(&adapter, "limits").unwrap_or_default();
    let limit = |name: &str| number(&limits, name);
    Ok(AdapterLimits {
        is_software: is_fallback || is_software(&description),
        has_f16: has_feature("shader-f16"),
        buffer: limit("maxBufferSize"),
        binding: limit("maxStorageBufferBindingSize"),
        workgroup_storage: limit("maxComputeWorkgroupStorageSize"),
        workgroup_invocations: limit("maxComputeInvocationsPerWorkgroup"),
        subgroups: has_feature("subgroups")
            .then(|| ["subgroupMinSize", "subgroupMaxSize"].map(|name| number(&info, name))),
        description,
    })
}
