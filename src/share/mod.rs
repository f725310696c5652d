//! What leaves the page and comes back: links that hold a recipe.
//!
//! Pure text and numbers: this folder knows neither burn nor the browser, so that what a link does
//! can be tested natively. Nothing in it downloads or runs anything.

pub mod hash;
