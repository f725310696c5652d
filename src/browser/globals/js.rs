//! Access by name to JS objects for which no feature of web-sys is enabled: such a feature would be
//! compiled into every program, even into those that don't use it.

use js_sys::{Array, Function, Promise, Reflect};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// A property of an object; none where it is missing, undefined or null.
pub fn get(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into())
        .ok()
        .filter(|value| !value.is_undefined() && !value.is_null())
}

/// A property of the global object; none where it is missing, undefined or null.
pub fn global(name: &str) -> Option<JsValue> {
    get(&js_sys::global(), name)
}

/// A new object of a global class.
///
/// # Errors
/// What its constructor throws; undefined where there is no such class.
pub fn construct(class: &str, arguments: &[JsValue]) -> Result<JsValue, JsValue> {
    let class: Function = global(class)
        .and_then(|class| class.dyn_into().ok())
        .ok_or(JsValue::UNDEFINED)?;
    Reflect::construct(&class, &arguments.iter().collect::<Array>())
}

/// Sets a property. The object has to be one that was just made, for which this can't fail.
pub fn set(object: &JsValue, name: &str, value: impl Into<JsValue>) {
    let is_set = Reflect::set(object, &name.into(), &value.into());
    debug_assert!(is_set.is_ok(), "{name} can be set");
}

/// Calls a function of an object.
///
/// # Errors
/// What the function throws; undefined where there is no such function.
pub fn call(object: &JsValue, name: &str, arguments: &[JsValue]) -> Result<JsValue, JsValue> {
    let function: Function = get(object, name)
        .and_then(|function| function.dyn_into().ok())
        .ok_or(JsValue::UNDEFINED)?;
    function.apply(object, &arguments.iter().collect::<Array>())
}

/// Calls a function of an object that returns a promise, and awaits the promise.
///
/// # Errors
/// What the function throws, or the promise is rejected with; undefined where there is no such
/// function, or it returns no promise.
pub async fn call_async(
    object: &JsValue,
    name: &str,
    arguments: &[JsValue],
) -> Result<JsValue, JsValue> {
    let promise: Promise = call(object, name, arguments)?
        .dyn_into()
        .map_err(|_| JsValue::UNDEFINED)?;
    JsFuture::from(promise).await
}

/// An error's `message`, or its debug form where it has none.
pub fn message(error: &JsValue) -> String {
    get(error, "message")
        .and_then(|message| message.as_string())
        .unwrap_or_else(|| format!("{error:?}"))
}
