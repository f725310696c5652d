//! Weights and manifests in this browser's IndexedDB, and in memory where nothing can be stored.

pub mod files;
pub mod store;
