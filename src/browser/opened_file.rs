//! A file of the visitor's disk on its way from the page to a worker.

use serde::{Deserialize, Serialize};

/// A file that the visitor has opened. The browser copies no bytes of it for a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenedFile {
    /// Its path below the opened folder, or its name.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// The time of its last change in milliseconds since 1970.
    pub modified: u64,
    /// The browser's `File`.
    #[cfg(target_family = "wasm")]
    #[serde(with = "serde_wasm_bindgen::preserve")]
    pub file: wasm_bindgen::JsValue,
}
