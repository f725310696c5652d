//! The only access to the browser's own objects, except for the page's DOM: IndexedDB, the GPU's
//! adapter and the scope of a worker.

pub mod adapter_limits;
pub mod from_worker;
#[cfg(target_family = "wasm")]
pub mod globals;
pub mod opened_file;
