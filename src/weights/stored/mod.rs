//! What has arrived, in this browser's IndexedDB.

pub mod files;
pub mod store;
