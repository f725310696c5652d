//! The messages between the page and its two workers, and nothing else: one enum each way for the
//! [`engine`], which draws, and for the [`loader`], which loads weights into the store.

pub mod allowance;
pub mod engine;
pub mod loader;
pub mod stats;
