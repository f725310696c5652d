//! The addresses of loads that were not finished when the page was closed, in the browser's local
//! storage: a new page reads them without starting a worker.
//!
//! A browser without local storage only loses the reminder; the loaded bytes are in IndexedDB.

use std::collections::BTreeSet;

use wasm_bindgen::JsValue;

use crate::browser::globals::js;

/// The key of the local storage; the value has one address per line.
const KEY: &str = "firststep-unfinished-loads";

/// The addresses of the unfinished loads.
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

/// Adds or removes an address. Reads the others again first, as another tab may have changed them.
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

/// Calls a function of the local storage; fails where that is forbidden, missing or full.
fn call(name: &str, arguments: &[&str]) -> Result<JsValue, JsValue> {
    let storage = js::global("localStorage").ok_or(JsValue::UNDEFINED)?;
    let arguments: Vec<JsValue> = arguments.iter().map(|text| JsValue::from(*text)).collect();
    js::call(&storage, name, &arguments)
}
