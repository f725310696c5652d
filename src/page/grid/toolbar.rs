//! What can be done with the grid on show.

use std::sync::Arc;

use leptos::prelude::*;

use crate::page::workers::grid::{Cell, CellState, Grid};
use crate::recipe::CellAddress;
use crate::view::units;

/// Finishing what rests after a first look or a cancellation, copying the grid's link, saving it.
#[component]
pub fn GridToolbar(
    grid: Arc<Grid>,
    #[prop(into)] busy: Signal<bool>,
    /// Takes cells to finish.
    on_finish: Callback<Vec<CellAddress>>,
    /// Takes cells that were cancelled, to go on as far as they were to go.
    on_resume: Callback<Vec<CellAddress>>,
    on_copy_link: Callback<()>,
    on_save: Callback<()>,
    on_save_all: Callback<()>,
    /// What became of the link that was copied last.
    #[prop(into)]
    copied: Signal<Option<String>>,
    /// Whether the settings are no longer those of the grid.
    #[prop(into)]
    settings_differ: Signal<bool>,
    /// What the digests of the link that was followed say of this run.
    #[prop(into)]
    agreement: Signal<Option<String>>,
) -> impl IntoView {
    let state = |cell: &Cell| cell.view.with(|view| view.state);
    let in_state = {
        let grid = grid.clone();
        move |wanted: CellState| grid.cells_that(|cell| state(cell) == wanted)
    };
    let resting = Memo::new({
        let in_state = in_state.clone();
        move |_| in_state(CellState::Resting)
    });
    let cancelled = Memo::new({
        let in_state = in_state.clone();
        move |_| in_state(CellState::Cancelled)
    });
    let any_done = Memo::new(move |_| !in_state(CellState::Done).is_empty());
    let ticked = Memo::new({
        let grid = grid.clone();
        move |_| grid.cells_that(|cell| cell.ticked.get() && state(cell) == CellState::Resting)
    });
    let tick_all = {
        let grid = grid.clone();
        move |on: bool| {
            for cell in grid.cells() {
                if cell.view.with_untracked(|view| view.state) == CellState::Resting {
                    cell.ticked.set(on);
                }
            }
        }
    };
    let triage = move || {
        let number = resting.with(Vec::len);
        (number > 0).then(|| {
            let tick_all = tick_all.clone();
            let all_ticked = move || ticked.with(Vec::len) == resting.with(Vec::len);
            view! {
                <div class="triage" role="group" aria-label="After the first look">
                    <span>
                        "This is what each is aiming at after one step. Tick the ones to finish:"
                    </span>
                    <button
                        type="button"
                        class="primary"
                        data-testid="finish-ticked"
                        disabled=move || busy.get() || ticked.with(Vec::is_empty)
                        on:click=move |_| on_finish.run(ticked.get_untracked())
                    >
                        {move || format!("Finish {}", units::count(ticked.with(Vec::len), "ticked", "ticked"))}
                    </button>
                    <button
                        type="button"
                        data-testid="finish-all"
                        disabled=busy
                        on:click=move |_| on_finish.run(resting.get_untracked())
                    >
                        {format!("Finish all {number}")}
                    </button>
                    <button
                        type="button"
                        class="inline"
                        data-testid="tick-all"
                        on:click=move |_| tick_all(!all_ticked())
                    >
                        {move || if all_ticked() { "Tick none" } else { "Tick all" }}
                    </button>
                </div>
            }
        })
    };
    let resume = move || {
        let number = cancelled.with(Vec::len);
        (number > 0 && !busy.get()).then(|| {
            view! {
                <button
                    type="button"
                    data-testid="resume"
                    on:click=move |_| on_resume.run(cancelled.get_untracked())
                >
                    {format!("Go on with {}", units::count(number, "cell", "cells"))}
                </button>
            }
        })
    };
    view! {
        <div class="grid-toolbar" role="group" aria-label="The grid">
            {triage}
            {resume}
            <button type="button" data-testid="copy-link" on:click=move |_| on_copy_link.run(())>
                "Copy link"
            </button>
            <button
                type="button"
                data-testid="save-grid"
                disabled=move || !any_done.get()
                on:click=move |_| on_save.run(())
            >
                "Save grid"
            </button>
            <button
                type="button"
                data-testid="save-all"
                title="Every finished image with its recipe, and a table of the grid as CSV, in one ZIP"
                disabled=move || !any_done.get()
                on:click=move |_| on_save_all.run(())
            >
                "Save all"
            </button>
            <p class="toolbar-words" role="status" data-testid="link-status">
                {copied}
                {move || {
                    settings_differ
                        .get()
                        .then_some(
                            " The settings have changed since this grid was drawn: its link and its files are of the grid on show.",
                        )
                }}
            </p>
            {move || {
                agreement
                    .get()
                    .map(|text| view! { <p class="toolbar-words" data-testid="agreement">{text}</p> })
            }}
        </div>
    }
}
