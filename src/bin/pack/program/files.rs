//! Reading and writing files; errors are sentences that name the file.

use std::fs;
use std::io;
use std::path::Path;

use firststep::sampler::SchedulerConfig;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a whole file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// The sentence that a file or folder can't be read.
pub fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} can't be read: {error}.", path.display())
}

/// Reads a JSON file that describes pairs or their vocabulary.
pub fn read_description<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    serde_json::from_value(read_json(path)?)
        .map_err(|error| format!("{} can't be used: {error}.", path.display()))
}

/// Reads a JSON file of any structure.
pub fn read_json(path: &Path) -> Result<Value, String> {
    serde_json::from_slice(&read_bytes(path)?)
        .map_err(|error| format!("{} is not JSON: {error}.", path.display()))
}

/// Writes a file, and creates its folder where there is none.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let written = match path.parent() {
        Some(folder) => fs::create_dir_all(folder).and_then(|()| fs::write(path, bytes)),
        None => fs::write(path, bytes),
    };
    written.map_err(|error| format!("{} can't be written: {error}.", path.display()))
}

/// Reads a JSON file that Python has written, with numbers that JSON has not.
pub fn read_python_json(path: &Path) -> Result<Value, String> {
    SchedulerConfig::parse_text(&String::from_utf8_lossy(&read_bytes(path)?))
        .map_err(|error| format!("{} is not JSON: {error}.", path.display()))
}
