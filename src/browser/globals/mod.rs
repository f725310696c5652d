//! Objects that exist only in a browser.

pub mod calendar;
pub mod gpu;
pub mod gpu_counters;
pub mod gpu_programs;
pub mod indexed_db;
pub mod js;
pub mod local_storage;
pub mod lock;
pub mod worker_scope;
