//! The loads that were not finished when the page was closed: their addresses in the browser's local
//! storage, so that a page that is opened knows of them without a worker.
//!
//! A browser that keeps none loses a reminder: the loads themselves are in the store.

use std::collections::BTreeSet;

use wasm_bindgen::JsValue;

use crate::browser::globals::js;

/// Where they are kept, one a line.
const KEY: &str = "firststep-unfinished-loads";

/// The addresses that were kept.
pub fn read() -> BTreeSet<String> {
    let lines = call("getItem", &[KEY])
        .ok()
        .and_then(|lines| lines.as_string());
    lines
        .iter()
        .flat_map(|lines| lines.lines())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Keeps an address or forgets it. What other tabs keep stays.
pub fn set(address: &str, is_unfinished: bool) {
    let mut addresses = read();
    if is_unfinished {
        addresses.insert(address.to_owned());
    } else {
        addresses.remove(address);
    }
    let lines: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let _ = if lines.is_empty() {
        call("removeItem", &[KEY])
    } else {
        call("setItem", &[KEY, &lines.join("\n")])
    };
}

/// Calls a function of the local storage, which may be forbidden, missing or full.
fn call(name: &str, arguments: &[&str]) -> Result<JsValue, JsValue> {
    let storage = js::global("localStorage").ok_or(JsValue::UNDEFINED)?;
    let arguments: Vec<JsValue> = arguments.iter().map(|text| JsValue::from(*text)).collect();
    js::call(&storage, name, &arguments)
}
