//! Asks before a grid is lost: Back, a reload or a closed tab takes its images away, which are kept nowhere
//! unless they are an experiment's.

use leptos::prelude::*;

use crate::page::workers::engine::EngineClient;
use crate::page::workers::grid::CellState;

/// Has the browser ask before the page is left while the grid on show has finished images. The words are the
/// browser's own.
pub fn ask_before(engine: EngineClient) {
    let listener = window_event_listener(leptos::ev::beforeunload, move |event| {
        let has_images = engine.grid.with_untracked(|grid| {
            grid.as_ref().is_some_and(|grid| {
                let is_done = |state| state == CellState::Done;
                let is_empty = grid
                    .cells_that(|cell| cell.view.with_untracked(|view| is_done(view.state)))
                    .is_empty();
                !is_empty && !grid.extent().is_of_experiment
            })
        });
        if has_images {
            event.prevent_default();
        }
    });
    on_cleanup(move || listener.remove());
}
