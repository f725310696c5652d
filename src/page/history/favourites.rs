//! The pictures that the visitor has marked.

use std::sync::Arc;

use leptos::html::Canvas;
use leptos::prelude::*;

use crate::history::favourite::{Favourite, MAXIMUM_FAVOURITES};
use crate::history::{Request, key};
use crate::page::grid::cell::draw;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::view::rows::row_name;

/// The favourites, the last one first; nothing where there are none.
#[component]
pub fn Favourites(
    /// None until they have come.
    #[prop(into)]
    favourites: Signal<Option<Vec<Favourite>>>,
    on_ask: Callback<Request>,
    on_open: Callback<SavedRecipe>,
) -> impl IntoView {
    let shown = Memo::new(move |_| -> Vec<Arc<Favourite>> {
        let favourites = favourites.get().unwrap_or_default();
        favourites.into_iter().map(Arc::new).collect()
    });
    // The one that was taken off last.
    let gone = RwSignal::new(None::<Arc<Favourite>>);
    let take_off = Callback::new(move |favourite: Arc<Favourite>| {
        on_ask.run(Request::Unmark(Box::new(favourite.recipe.clone())));
        gone.set(Some(favourite));
    });
    view! {
        {move || {
            let number = shown.with(Vec::len);
            (number > 0)
                .then(|| {
                    view! {
                        <h3 class="history-heading">
                            {format!("Favourites ({number} of {MAXIMUM_FAVOURITES})")}
                        </h3>
                    }
                })
        }}
        <p class="help undo" role="status">
            {move || {
                gone.get()
                    .map(|favourite| {
                        view! {
                            <span>"Taken off the favourites. "</span>
                            <button
                                type="button"
                                class="inline"
                                data-testid="favourite-undo"
                                on:click=move |_| {
                                    gone.set(None);
                                    on_ask.run(Request::Mark(Box::new(Favourite::clone(&favourite))));
                                }
                            >
                                "Undo"
                            </button>
                        }
                    })
            }}
        </p>
        <ul class="favourites" aria-label="Favourites">
            <For
                each=move || shown.get()
                key=|favourite| key(&favourite.recipe).unwrap_or_default()
                children=move |favourite| {
                    view! { <FavouriteView favourite=favourite on_open=on_open on_take_off=take_off /> }
                }
            />
        </ul>
    }
}

#[component]
fn FavouriteView(
    favourite: Arc<Favourite>,
    on_open: Callback<SavedRecipe>,
    on_take_off: Callback<Arc<Favourite>>,
) -> impl IntoView {
    let cell = favourite.recipe.cell.unwrap_or_default();
    let rows = favourite.recipe.recipe.rows();
    let row = rows.get(cell.row as usize);
    let prompt = row.map_or_else(String::new, |row| row.prompt.clone());
    let name = row.map_or_else(String::new, row_name);
    let what = format!(
        "{name}, seed {}",
        favourite.recipe.recipe.seed_of(cell.column)
    );
    let canvas = NodeRef::<Canvas>::new();
    let drawn = favourite.clone();
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            // Without its picture it can still be opened.
            let _ = draw(&canvas, &drawn.image);
        }
    });
    let label = format!("“{prompt}”, {what}");
    let [open_label, off_label] = [
        format!("Open {label}"),
        format!("Take off the favourites: {label}"),
    ];
    let opened = favourite.clone();
    view! {
        <li class="favourite" data-testid="favourite">
            <canvas node_ref=canvas role="img" aria-label=label></canvas>
            <p class="history-prompt">{prompt}</p>
            <p class="help">{what}</p>
            <div class="history-buttons">
                <button
                    type="button"
                    data-testid="favourite-open"
                    aria-label=open_label
                    on:click=move |_| on_open.run(SavedRecipe { cell: None, ..opened.recipe.clone() })
                >
                    "Open"
                </button>
                <button
                    type="button"
                    data-testid="favourite-off"
                    aria-label=off_label
                    on:click=move |_| on_take_off.run(favourite.clone())
                >
                    "Take off"
                </button>
            </div>
        </li>
    }
}
