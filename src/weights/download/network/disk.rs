//! Files of the visitor's disk: they are read by slices, and nothing of them leaves the machine.

use std::ops::Range;

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;

use super::error::{HeaderError, SourceError};
use crate::browser::globals::js;
use crate::weights::format::safetensors::Header;

/// Bytes of the longest text that is read of a disk; a real config has some thousand.
const MAXIMUM_TEXT_LENGTH: u64 = 64 * 1024 * 1024;

/// A file that the visitor has opened.
#[derive(Clone, Debug)]
pub struct DiskFile {
    /// Its name in sentences.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// The browser's `File`.
    pub file: JsValue,
}

impl DiskFile {
    /// The bytes of a range of the file.
    ///
    /// # Errors
    /// [`SourceError::Disk`].
    pub async fn slice(&self, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
        let unreadable = |_: JsValue| SourceError::Disk {
            file: self.name.clone(),
        };
        let bounds = [range.start as f64, range.end as f64].map(JsValue::from);
        let slice = js::call(&self.file, "slice", &bounds).map_err(unreadable)?;
        let buffer = js::call_async(&slice, "arrayBuffer", &[]).await;
        let bytes = Uint8Array::new(&buffer.map_err(unreadable)?).to_vec();
        if bytes.len() as u64 == range.end - range.start {
            Ok(bytes)
        } else {
            Err(unreadable(JsValue::UNDEFINED))
        }
    }

    /// The beginning of a safetensors file, up to the end of its header.
    ///
    /// # Errors
    /// The file can't be read, or it is none.
    pub async fn header(&self) -> Result<Vec<u8>, HeaderError> {
        let beginning = self.slice(0..self.size.min(64)).await?;
        let end = Header::end(&self.name, &beginning)?.unwrap_or(self.size);
        Ok(self.slice(0..end.min(self.size)).await?)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// The file can't be read, or is no text of a usable length.
    pub async fn text(&self) -> Result<String, SourceError> {
        let not_text = || SourceError::NotText {
            file: self.name.clone(),
        };
        if self.size > MAXIMUM_TEXT_LENGTH {
            return Err(not_text());
        }
        let bytes = self.slice(0..self.size).await?;
        String::from_utf8(bytes).map_err(|_| not_text())
    }
}
