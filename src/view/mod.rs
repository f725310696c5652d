//! The page's logic that needs no DOM: what is said of a load, how numbers and labels are written,
//! and how a strip is played. It is apart from the page so that native tests reach it.

pub mod address;
pub mod jobs;
pub mod label;
pub mod loading;
pub mod progress;
pub mod requested_loads;
pub mod rows;
pub mod stretches;
pub mod strip;
pub mod units;
pub mod worker_link;
