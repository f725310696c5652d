//! What an experiment has found: a record of each picture, the distances between pictures, and the tables
//! and figures that are made of them, with how sure each number is.
//!
//! The page and `bin/run` write the same records and make the same tables of them: this room knows
//! neither burn nor the browser.

mod aggregate;
mod curve;
mod error;
pub mod figure;
mod files;
pub mod manifest;
mod markdown;
pub mod npy;
mod records;
mod report;
mod table;
#[cfg(test)]
mod tests;

pub use aggregate::{average, change, difference, diversity, time};
pub use curve::{CurvePoint, mean_curve, share_until};
pub use error::ResultsError;
pub use files::files;
pub use markdown::markdown;
pub use records::{
    COSINE_OF, ChangeRecord, NetworkFindings, PictureRecord, Results, RowRecord, STRUCTURAL, Score,
    ScoreRecord, StepRecord, TargetsRecord, change_distances, completed_row, row_distances,
};
pub use report::{Report, report};
pub use table::{Cell, Column, Table};
