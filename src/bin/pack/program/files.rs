//! Reading and writing files; errors are sentences that name the file.

use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// The bytes of a file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// Says that a file or folder can't be read.
pub fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} can't be read: {error}.", path.display())
}

/// A JSON file that says something about the pairs.
pub fn read_description<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    serde_json::from_value(read_json(path)?)
        .map_err(|error| format!("{} can't be used: {error}.", path.display()))
}

/// A JSON file.
pub fn read_json(path: &Path) -> Result<Value, String> {
    serde_json::from_slice(&read_bytes(path)?)
        .map_err(|error| format!("{} is not JSON: {error}.", path.display()))
}

/// Writes a file, and the folder that it lies in.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = match path.parent() {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)),
        None => fs::write(path, bytes),
    };
    written.map_err(|error| format!("{} can't be written: {error}.", path.display()))
}
