//! How the store knows the file of an adapter that a visitor has brought. No manifest names it.

/// What begins the ids of adapters' files, and of no other file.
const BEGINNING: &str = "adapter-";

/// The id of an adapter's file in the store.
pub fn adapter_id(hash: &str) -> String {
    format!("{BEGINNING}{hash}")
}

/// The SHA-256 of the adapter's file of an id; none of any other file.
pub fn adapter_hash(id: &str) -> Option<&str> {
    id.strip_prefix(BEGINNING)
}
