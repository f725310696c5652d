//! Text as a file of the visitor's.

use wasm_bindgen::JsValue;

use crate::page::grid::save;

/// What the text is.
#[derive(Clone, Copy)]
pub enum FileKind {
    Csv,
    Json,
}

impl FileKind {
    fn media_type(self) -> &'static str {
        match self {
            FileKind::Csv => "text/csv;charset=utf-8",
            FileKind::Json => "application/json",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            FileKind::Csv => "csv",
            FileKind::Json => "json",
        }
    }
}

/// Has the browser save a text.
pub fn download(name: &str, kind: FileKind, text: &str) -> Result<(), JsValue> {
    let name = format!("{name}.{}", kind.extension());
    save::download(text.as_bytes(), &name, kind.media_type())
}
