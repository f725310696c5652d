//! What exists in a browser alone.

pub mod clock;
pub mod gpu;
pub mod indexed_db;
pub mod js;
pub mod worker_scope;
