//! The page's logic that needs no DOM: the states of workers, jobs and address, the words for loads,
//! numbers and labels, and the playing of a strip. Native tests reach it because it is apart from the
//! page.

pub mod address;
pub mod diversity;
pub mod engine_watch;
pub mod experiments;
pub mod grid_table;
pub mod jobs;
pub mod label;
pub mod loading;
pub mod opened_text;
pub mod progress;
pub mod recovery;
pub mod requested_loads;
pub mod rows;
pub mod stats;
pub mod stretches;
pub mod strip;
pub mod token_count;
pub mod units;
pub mod unknown_words;
pub mod worker_link;
pub mod wrong_field;
