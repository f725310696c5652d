//! The page's ends of the two workers.

pub mod engine;
pub mod grid;
pub mod link;
pub mod loader;
pub mod unfinished;
