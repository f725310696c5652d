//! What leaves the page and comes back: links, pictures and animations that hold a recipe.
//!
//! Pure text, numbers and bytes: this folder knows neither burn nor the browser, so that what a link
//! or a file does can be tested natively. Nothing in it downloads or runs anything.

pub mod apng;
pub mod contact_sheet;
pub mod digest;
pub mod file;
pub mod file_name;
pub mod generation_parameters;
pub mod hash;
pub mod label;
pub mod picture;
pub mod png_file;
pub mod saved_recipe;
pub mod taken_over;
