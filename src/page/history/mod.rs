//! The runs that this browser remembers.

mod favourites;

use std::sync::Arc;

use leptos::html::{Button, Canvas, Details, Input};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use favourites::Favourites;

use super::grid::cell::draw;
use crate::browser::globals::calendar;
use crate::history::favourite::Favourite;
use crate::history::{Entry, Listing, MAXIMUM_ENTRIES, Request};
use crate::picture::image::Image;
use crate::recipe::saved_recipe::SavedRecipe;
use crate::view::units::{self, size};

/// How many runs are shown at first, and more at a press: the rest is found by searching, too.
const SHOWN_AT_ONCE: usize = 20;

/// A disclosure with the runs, the last one first. Its content exists only while it is open, and the
/// list is requested when it is first opened.
#[component]
pub fn History(
    /// None until it has come.
    #[prop(into)]
    listing: Signal<Option<Listing>>,
    /// None until they have come.
    #[prop(into)]
    favourites: Signal<Option<Vec<Favourite>>>,
    /// Why it can't be had, or a run not be deleted.
    #[prop(into)]
    problem: Signal<Option<String>>,
    on_ask: Callback<Request>,
    on_open: Callback<SavedRecipe>,
) -> impl IntoView {
    let disclosure = NodeRef::<Details>::new();
    let is_open = RwSignal::new(false);
    let toggle = move |_| {
        let open = disclosure
            .get_untracked()
            .is_some_and(|details| details.open());
        is_open.set(open);
        if open && listing.with_untracked(Option::is_none) {
            on_ask.run(Request::List);
        }
        if open && favourites.with_untracked(Option::is_none) {
            on_ask.run(Request::ListFavourites);
        }
    };
    let content = move || {
        is_open.get().then(|| {
            view! {
                <div class="history-content">
                    <Favourites favourites=favourites on_ask=on_ask on_open=on_open />
                </div>
                <EntryList listing=listing problem=problem on_ask=on_ask on_open=on_open />
            }
        })
    };
    view! {
        <details node_ref=disclosure class="history" data-testid="history" on:toggle=toggle>
            <summary>"History"</summary>
            {content}
        </details>
    }
}

#[component]
fn EntryList(
    listing: Signal<Option<Listing>>,
    problem: Signal<Option<String>>,
    on_ask: Callback<Request>,
    on_open: Callback<SavedRecipe>,
) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let search_field = NodeRef::<Input>::new();
    let shown = RwSignal::new(SHOWN_AT_ONCE);
    let is_clearing = RwSignal::new(false);
    // Which run was opened, in words.
    let opened = RwSignal::new(None::<String>);

    // Copied once per list, and not at each letter that is typed.
    let runs = Memo::new(move |_| -> Vec<Arc<Entry>> {
        listing.with(|listing| match listing {
            Some(listing) => listing.entries.iter().cloned().map(Arc::new).collect(),
            None => Vec::new(),
        })
    });
    let found = Memo::new(move |_| -> Vec<Arc<Entry>> {
        runs.with(|runs| {
            search.with(|search| {
                let found = runs.iter().filter(|run| run.matches(search));
                found.cloned().collect()
            })
        })
    });
    let count = Memo::new(move |_| runs.with(Vec::len));
    let size = move || {
        listing.with(|listing| {
            let listing = listing.as_ref()?;
            Some(match listing.entries.len() {
                0 => format!(
                    "No runs yet. The last {MAXIMUM_ENTRIES} are kept in this browser, and nowhere \
                     else."
                ),
                number => format!(
                    "{}, {} of this browser's storage; the last {MAXIMUM_ENTRIES} are kept.",
                    units::count(number, "run", "runs"),
                    size(listing.bytes)
                ),
            })
        })
    };
    let nothing_found = move || {
        let is_waiting = listing.with(Option::is_none) && problem.with(Option::is_none);
        if is_waiting {
            Some("Reading the history…")
        } else if count.get() > 0 && found.with(Vec::is_empty) {
            Some("No run has all of these words in its prompts, its modes or its models' name.")
        } else {
            None
        }
    };

    let search_keydown = move |event: web_sys::KeyboardEvent| match event.key().as_str() {
        // The form around it would draw.
        "Enter" => event.prevent_default(),
        // It would cancel the run.
        "Escape" if !search.with_untracked(String::is_empty) => {
            event.prevent_default();
            search.set(String::new());
        }
        _ => {}
    };
    let focus_search = move || {
        if let Some(field) = search_field.get_untracked() {
            // Where there is no list left there is no field either.
            let _ = field.focus();
        }
    };
    let open = Callback::new(move |run: Arc<Entry>| {
        opened.set(Some(format!(
            "“{}” is in the fields: press Generate to draw it.",
            title(&run)
        )));
        on_open.run(run.recipe.clone());
    });
    // What was deleted last, until the list is closed.
    let deleted = RwSignal::new(Vec::<Arc<Entry>>::new());
    let delete = Callback::new(move |run: Arc<Entry>| {
        opened.set(None);
        on_ask.run(Request::Delete(Box::new(run.recipe.clone())));
        deleted.set(vec![run]);
    });
    let restore = move |_| {
        let runs = deleted.get_untracked();
        deleted.set(Vec::new());
        focus_search();
        on_ask.run(Request::Restore(
            runs.iter().map(|run| Entry::clone(run)).collect(),
        ));
    };
    let undo = move || {
        let words = deleted.with(|runs| match runs.as_slice() {
            [] => None,
            [run] => Some(format!("“{}” was deleted. ", title(run))),
            runs => Some(format!("{} runs were deleted. ", runs.len())),
        });
        words.map(|words| {
            view! {
                <span>{words}</span>
                <button type="button" class="inline" data-testid="history-undo" on:click=restore>
                    "Undo"
                </button>
            }
        })
    };
    // The button that had the focus is gone when the question comes.
    let keep = NodeRef::<Button>::new();
    Effect::new(move |_| {
        if let Some(keep) = keep.get() {
            let _ = keep.focus();
        }
    });
    let clear = move || {
        let number = count.get();
        if number == 0 {
            return ().into_any();
        }
        if !is_clearing.get() {
            return view! {
                <button
                    type="button"
                    data-testid="history-clear"
                    on:click=move |_| is_clearing.set(true)
                >
                    "Delete all"
                </button>
            }
            .into_any();
        }
        view! {
            <div
                class="history-confirm"
                role="group"
                aria-label="Delete all runs?"
                on:keydown=move |event| {
                    if event.key() == "Escape" {
                        event.prevent_default();
                        is_clearing.set(false);
                        focus_search();
                    }
                }
            >
                <span>{format!("Delete {}?", all_runs(number))}</span>
                <button
                    type="button"
                    node_ref=keep
                    data-testid="history-keep"
                    on:click=move |_| {
                        is_clearing.set(false);
                        focus_search();
                    }
                >
                    "Keep"
                </button>
                <button
                    type="button"
                    data-testid="history-clear-confirm"
                    on:click=move |_| {
                        is_clearing.set(false);
                        opened.set(None);
                        focus_search();
                        deleted.set(runs.get_untracked());
                        on_ask.run(Request::Clear);
                    }
                >
                    "Delete all"
                </button>
            </div>
        }
        .into_any()
    };
    let more = move || {
        let left = found.with(Vec::len).saturating_sub(shown.get());
        (left > 0).then(|| {
            view! {
                <button
                    type="button"
                    data-testid="history-more"
                    on:click=move |_| shown.update(|shown| *shown += SHOWN_AT_ONCE)
                >
                    {format!("Show {} more", left.min(SHOWN_AT_ONCE))}
                </button>
            }
        })
    };
    view! {
        <div class="history-content">
            <input
                node_ref=search_field
                type="search"
                data-testid="history-search"
                aria-label="Search the history"
                placeholder="Search the history"
                prop:value=move || search.get()
                on:input=move |event| {
                    shown.set(SHOWN_AT_ONCE);
                    search.set(event_target_value(&event));
                }
                on:keydown=search_keydown
            />
            <p class="help" role="status">
                {opened}
            </p>
            <p class="help undo" role="status">
                {undo}
            </p>
            {move || {
                problem
                    .get()
                    .map(|text| view! { <p class="problem" role="alert" data-testid="history-problem">{text}</p> })
            }}
            {move || nothing_found().map(|text| view! { <p class="help" role="status">{text}</p> })}
            <ul class="history-list" aria-label="Runs">
                <For
                    each=move || {
                        let mut runs = found.get();
                        runs.truncate(shown.get());
                        runs
                    }
                    key=identity
                    children=move |entry| {
                        view! { <EntryView entry=entry on_open=open on_delete=delete on_last=Callback::new(move |()| focus_search()) /> }
                    }
                />
            </ul>
            {more}
            <p class="help" role="status" data-testid="history-size">
                {size}
            </p>
            {clear}
        </div>
    }
}

/// A run: what it drew, and what can be done with it.
#[component]
fn EntryView(
    entry: Arc<Entry>,
    on_open: Callback<Arc<Entry>>,
    on_delete: Callback<Arc<Entry>>,
    /// Called when the focus has no other run to go to.
    on_last: Callback<()>,
) -> impl IntoView {
    let title = title(&entry);
    let recipe = &entry.recipe.recipe;
    let modes: Vec<&str> = recipe.modes.iter().map(|mode| mode.name()).collect();
    let what = format!(
        "{} × {}, {}",
        modes.join(", "),
        units::count(recipe.seed_count as usize, "seed", "seeds"),
        entry.recipe.pair_name
    );
    let (when, machine_when) = calendar::date(entry.drawn_at);
    let images = units::count(entry.images as usize, "image", "images");
    let canvas = NodeRef::<Canvas>::new();
    let strip = side_by_side(&entry.thumbnails);
    let has_strip = strip.is_some();
    Effect::new(move |_| {
        if let (Some(canvas), Some(strip)) = (canvas.get(), &strip) {
            // A run without its pictures is still one to open.
            let _ = draw(&canvas, strip);
        }
    });
    let [open_label, delete_label] =
        ["Open", "Delete"].map(|verb| format!("{verb} “{title}”, {when}"));
    let opened = entry.clone();
    view! {
        <li class="history-entry" data-testid="history-entry">
            {has_strip.then(|| view! { <canvas node_ref=canvas aria-hidden="true"></canvas> })}
            <p class="history-prompt">{title}</p>
            <p class="help">{what}</p>
            <p class="help">
                {images} ", " <time datetime=machine_when>{when}</time>
            </p>
            <div class="history-buttons">
                <button
                    type="button"
                    data-testid="history-open"
                    aria-label=open_label
                    on:click=move |_| on_open.run(opened.clone())
                >
                    "Open"
                </button>
                <button
                    type="button"
                    data-testid="history-delete"
                    aria-label=delete_label
                    on:click=move |event| {
                        let button = event
                            .current_target()
                            .and_then(|button| button.dyn_into::<Element>().ok());
                        if !button.is_some_and(|button| focus_neighbour(&button)) {
                            on_last.run(());
                        }
                        on_delete.run(entry.clone());
                    }
                >
                    "Delete"
                </button>
            </div>
        </li>
    }
}

/// Moves the focus from the button of a run that goes to that of the next one, or the one before.
fn focus_neighbour(button: &Element) -> bool {
    let Ok(Some(entry)) = button.closest("li") else {
        return false;
    };
    let neighbour = entry
        .next_element_sibling()
        .or_else(|| entry.previous_element_sibling());
    let button = neighbour
        .and_then(|entry| {
            entry
                .query_selector("[data-testid='history-delete']")
                .ok()?
        })
        .and_then(|button| button.dyn_into::<HtmlElement>().ok());
    button.is_some_and(|button| button.focus().is_ok())
}

/// What a run is called.
fn title(entry: &Entry) -> String {
    let prompt = entry.recipe.recipe.prompt.trim();
    if prompt.is_empty() {
        "(no prompt)".to_owned()
    } else {
        prompt.to_owned()
    }
}

/// Differs between any two runs, and changes when a run is drawn again.
fn identity(entry: &Arc<Entry>) -> (String, u64, u32) {
    let text = entry.recipe.to_json().unwrap_or_default();
    (text, entry.drawn_at.to_bits(), entry.images)
}

fn all_runs(number: usize) -> String {
    if number == 1 {
        "the run".to_owned()
    } else {
        format!("all {number} runs")
    }
}

/// Pictures of the first one's height next to each other; those of another height are left out.
fn side_by_side(images: &[Image]) -> Option<Image> {
    let height = images.first()?.height;
    let images: Vec<&Image> = images
        .iter()
        .filter(|image| image.height == height && image.width > 0)
        .collect();
    let rgba = (0..height as usize)
        .flat_map(|row| {
            images.iter().flat_map(move |image| {
                let width = image.width as usize * 4;
                image.rgba.get(row * width..(row + 1) * width)
            })
        })
        .flatten()
        .copied()
        .collect();
    Some(Image {
        width: images.iter().map(|image| image.width).sum(),
        height,
        rgba,
    })
}
