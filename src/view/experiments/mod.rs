//! The page's logic of experiments: what the form spells, what is drawn next, and how long it takes.

pub mod estimate;
pub mod input;
pub mod layout;
pub mod prompt_notes;
pub mod run;
