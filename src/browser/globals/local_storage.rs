//! Short texts in the browser's local storage, which a new page reads without starting a worker. Where it is
//! forbidden, missing or full, nothing is remembered.

use wasm_bindgen::JsValue;

use super::js;

/// The text under a key.
pub fn read(key: &str) -> Option<String> {
    call("getItem", &[key]).ok()?.as_string()
}

/// Remembers a text under a key, or forgets what is there.
pub fn write(key: &str, text: Option<&str>) {
    let _ = match text {
        Some(text) => call("setItem", &[key, text]),
        None => call("removeItem", &[key]),
    };
}

fn call(name: &str, arguments: &[&str]) -> Result<JsValue, JsValue> {
    let storage = js::global("localStorage").ok_or(JsValue::UNDEFINED)?;
    let arguments: Vec<JsValue> = arguments.iter().map(|text| JsValue::from(*text)).collect();
    js::call(&storage, name, &arguments)
}
