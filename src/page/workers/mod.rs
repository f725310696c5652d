//! The page's ends of the two workers: only here is a message posted.

pub mod engine;
pub mod grid;
pub mod loader;
pub mod unfinished;
