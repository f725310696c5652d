//! Which cells of the grid are favourites, and how they become so.

use std::collections::BTreeSet;
use std::sync::Arc;

use leptos::prelude::*;

use crate::history::favourite::{FAVOURITE_SIDE, Favourite};
use crate::history::{Request, key};
use crate::page::workers::engine::EngineClient;
use crate::page::workers::grid::{CellState, Grid};
use crate::protocol::engine::{Task, TaskEvent};
use crate::recipe::CellAddress;
use crate::recipe::saved_recipe::SavedRecipe;

/// The favourites, as the grid's cells see them.
#[derive(Clone, Copy)]
pub struct FavouriteMarks {
    engine: EngineClient,
    /// The texts that identify them.
    keys: Memo<BTreeSet<String>>,
    on_problem: Callback<String>,
}

impl FavouriteMarks {
    /// None is known before [`FavouriteMarks::ask`]. `on_problem` takes a sentence about one that can't be
    /// kept.
    pub fn new(engine: EngineClient, on_problem: Callback<String>) -> Self {
        let keys = Memo::new(move |_| {
            engine.favourites.with(|favourites| {
                let favourites = favourites.iter().flatten();
                favourites.filter_map(|it| key(&it.recipe).ok()).collect()
            })
        });
        FavouriteMarks {
            engine,
            keys,
            on_problem,
        }
    }

    /// Has the engine list the favourites, unless it has.
    pub fn ask(&self) {
        if self.engine.favourites.with_untracked(Option::is_none) {
            // Where they can't be listed, none is marked; to mark one says why.
            self.engine
                .run_task(Task::History(Request::ListFavourites), |_| {});
        }
    }

    /// Whether the cell of a key is a favourite; follows the favourites.
    pub fn has(&self, key: &str) -> bool {
        self.keys.with(|keys| keys.contains(key))
    }

    /// Keeps the finished image of a cell, or no longer.
    pub fn toggle(&self, grid: &Grid, cell: CellAddress) {
        let recipe = saved(grid, cell);
        let is_marked = key(&recipe).is_ok_and(|key| untrack(|| self.has(&key)));
        let request = if is_marked {
            Request::Unmark(Box::new(recipe))
        } else {
            let Some(image) = grid.cell(cell).and_then(|cell| {
                cell.view.with_untracked(|view| {
                    let is_done = view.state == CellState::Done;
                    view.frame.clone().filter(|_| is_done)
                })
            }) else {
                return;
            };
            Request::Mark(Box::new(Favourite {
                recipe,
                marked_at: js_sys::Date::now(),
                image: image.shrunk_to(FAVOURITE_SIDE),
            }))
        };
        let on_problem = self.on_problem;
        self.engine.run_task(Task::History(request), move |event| {
            if let TaskEvent::Failed { message } = event {
                on_problem.run(message);
            }
        });
    }
}

/// The text that identifies a cell's picture among the favourites; empty where it has none.
pub fn key_of(grid: &Arc<Grid>, cell: CellAddress) -> String {
    key(&saved(grid, cell)).unwrap_or_default()
}

fn saved(grid: &Grid, cell: CellAddress) -> SavedRecipe {
    SavedRecipe::new(
        &grid.pair_address,
        &grid.pair_name,
        grid.recipe.clone(),
        Some(cell),
    )
}
