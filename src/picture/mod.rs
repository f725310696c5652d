//! Pictures: one type for them, what files they are saved as, and what is read back from files.
//!
//! Pure bytes: this room knows neither burn nor the browser, so that what a file does can be tested
//! natively.

#![expect(
    clippy::indexing_slicing,
    reason = "an image has as many bytes as its size says"
)]

pub mod apng;
pub mod archive;
pub mod contact_sheet;
pub mod file;
pub mod file_name;
pub mod find_recipe;
pub mod image;
pub mod png_file;
pub mod png_text;
pub mod resample;
pub mod stack;
