//! The grid that the page shows, with its toolbar and strips, or examples before the first run.

use leptos::prelude::*;

use crate::page::form::controls::Controls;
use crate::page::grid::compare::Compare;
use crate::page::grid::empty_state::EmptyState;
use crate::page::grid::examples::Example;
use crate::page::grid::favourite_marks::FavouriteMarks;
use crate::page::grid::save;
use crate::page::grid::selection::Selection;
use crate::page::grid::share_link;
use crate::page::grid::table::GridTable;
use crate::page::grid::toolbar::GridToolbar;
use crate::page::strip::StripPanel;
use crate::page::strip::strip_to_save::StripToSave;
use crate::page::workers::engine::EngineClient;
use crate::view::address::SharedRun;

/// The grid with its toolbar, the panes side by side and the strips.
#[component]
pub fn Results(
    engine: EngineClient,
    controls: Controls,
    /// The run that the page's link was copied from.
    #[prop(into)]
    shared_run: Signal<Option<SharedRun>>,
    on_generate: Callback<()>,
    on_example: Callback<Example>,
    /// Takes a sentence about a file that couldn't be saved.
    on_problem: Callback<String>,
) -> impl IntoView {
    let finish = Callback::new(move |cells| engine.resume(cells, None));
    let resume = Callback::new(move |cells| {
        let depth = engine
            .grid
            .with_untracked(|grid| grid.as_ref().and_then(|grid| grid.extent().depth));
        engine.resume(cells, depth);
    });

    let selection = Selection::new();
    let favourites = FavouriteMarks::new(engine, on_problem);
    let (copied, set_copied) = signal(None::<String>);
    Effect::new(move |_| {
        // Another grid has other cells.
        if engine.grid.with(Option::is_some) {
            favourites.ask();
        }
        selection.strip.set(None);
        selection.compared.set(None);
        set_copied.set(None);
    });
    let copy_link = Callback::new(move |()| {
        if let Some(grid) = engine.grid.get_untracked() {
            share_link::copy(grid, set_copied);
        }
    });
    let settings_differ = Memo::new(move |_| {
        let spelled = controls.recipe().ok();
        engine.grid.with(|grid| {
            grid.as_ref()
                .is_some_and(|grid| Some(&grid.recipe) != spelled.as_ref())
        })
    });
    let agreement = Memo::new(move |_| {
        engine.grid.with(|grid| {
            let grid = grid.as_ref()?;
            shared_run.with(|shared_run| share_link::agreement(grid, shared_run.as_ref()?))
        })
    });
    let save_grid = Callback::new(move |()| {
        if let Some(grid) = engine.grid.get_untracked() {
            save::save_grid(engine, &grid, on_problem);
        }
    });
    let save_all = Callback::new(move |()| {
        if let Some(grid) = engine.grid.get_untracked() {
            save::save_all(engine, &grid, on_problem);
        }
    });
    let save_image = Callback::new(move |cell| {
        if let Some(grid) = engine.grid.get_untracked() {
            save::save_image(engine, &grid, cell, on_problem);
        }
    });
    let save_strip = Callback::new(move |strip: StripToSave| {
        if let Some(grid) = engine.grid.get_untracked() {
            let (frames, delays) = (&strip.frames, &strip.delay_milliseconds);
            save::save_strip(engine, &grid, strip.cell, frames, delays, on_problem);
        }
    });
    let save_strip_sheet = Callback::new(move |strip: StripToSave| {
        if let Some(grid) = engine.grid.get_untracked() {
            let StripToSave {
                cell, view, frames, ..
            } = strip;
            save::save_strip_sheet(engine, &grid, cell, &frames, view, on_problem);
        }
    });

    view! {
        {move || match engine.grid.get() {
            Some(grid) => {
                view! {
                    <GridToolbar
                        grid=grid.clone()
                        busy=engine.is_busy
                        on_finish=finish
                        on_resume=resume
                        on_copy_link=copy_link
                        on_save=save_grid
                        on_save_all=save_all
                        copied=copied
                        settings_differ=settings_differ
                        agreement=agreement
                    />
                    <GridTable grid=grid.clone() selection=selection favourites=favourites />
                    <Compare grid=grid column=selection.compared />
                }
                    .into_any()
            }
            None => {
                view! {
                    <EmptyState
                        prompt=controls.prompt()
                        on_generate=on_generate
                        on_example=on_example
                    />
                }
                    .into_any()
            }
        }}
        <StripPanel
            engine=engine
            selection=selection
            on_save_image=save_image
            on_save_strip=save_strip
            on_save_strip_sheet=save_strip_sheet
            on_compare=Callback::new(move |column| selection.compared.set(Some(column)))
            on_redraw=Callback::new(move |cell| engine.resume(vec![cell], None))
        />
    }
}
