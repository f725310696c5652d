//! How the page is laid out.

use leptos::prelude::window;

/// Whether the page is wide enough for the grid to stand beside the controls instead of below them.
/// The stylesheet has the same width.
pub fn grid_is_beside() -> bool {
    window()
        .match_media("(min-width: 60rem)")
        .ok()
        .flatten()
        .is_some_and(|query| query.matches())
}
