//! The addresses of loads that were not finished when the page was closed, in the browser's local storage.
//! A browser without it only loses the reminder; the loaded bytes are in IndexedDB.

use std::collections::BTreeSet;

use crate::browser::globals::local_storage;

/// The key of the local storage; the value has one address per line.
const KEY: &str = "firststep-unfinished-loads";

/// The addresses of the unfinished loads.
pub fn read() -> BTreeSet<String> {
    let lines = local_storage::read(KEY);
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
    let text = (!lines.is_empty()).then(|| lines.join("\n"));
    local_storage::write(KEY, text.as_deref());
}
