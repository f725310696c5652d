//! The page's clients of the two workers, and the grid that the engine's events draw.

pub mod engine;
pub mod grid;
pub mod link;
mod load_state;
pub mod loader;
pub mod token_counts;
pub mod unfinished;
mod watch;
