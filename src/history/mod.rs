//! The history of runs: their recipes with some small pictures, kept in this browser.
//!
//! What is kept and for how long is decided here, in plain values that are tested natively; `store`
//! keeps it in IndexedDB. The folder knows neither burn nor the page.

use serde::{Deserialize, Serialize};

use crate::engine::protocol::Frame;
use crate::share::saved_recipe::SavedRecipe;

/// The most runs that are kept; the oldest go first.
pub const MAXIMUM_ENTRIES: usize = 100;
/// The most thumbnails of a run.
pub const MAXIMUM_THUMBNAILS: usize = 8;
/// The longer side of a thumbnail, in pixels.
pub const THUMBNAIL_SIDE: u32 = 64;

/// A run that was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What was drawn. No two entries have the same.
    pub recipe: SavedRecipe,
    /// When it was drawn last, in milliseconds since 1970.
    pub drawn_at: f64,
    /// Images that were finished.
    pub images: u32,
    /// The first images of the rows, small.
    pub thumbnails: Vec<Frame>,
}

/// What the page asks of the history. The answer to each is [`Listing`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Nothing but the list.
    List,
    /// Forget a run.
    Delete(Box<SavedRecipe>),
    /// Forget all.
    Clear,
}

/// The history as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// The runs, the last one first.
    pub entries: Vec<Entry>,
    /// Bytes that they take, about.
    pub bytes: u64,
}
