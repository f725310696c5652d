//! A cell of the grid: the preview while it runs, then the image.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::{Clamped, JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use super::favourite_marks::{FavouriteMarks, key_of};
use super::visibility::Visibility;
use crate::page::workers::grid::{Cell, CellState, CellView, Grid, StepTaken};
use crate::picture::image::Image;
use crate::recipe::CellAddress;
use crate::view::rows::model_key;

/// The grid of a cell, and its favourites.
#[derive(Clone)]
pub struct Favouring {
    pub grid: Arc<Grid>,
    pub marks: FavouriteMarks,
}

/// A gridcell. Its canvas is of the image's true size, which the stylesheet scales up, and is there
/// only while the cell is in sight or nearly so: a hundred canvases would cost more than the grid.
#[component]
pub fn GridCell(
    cell: Cell,
    /// What the row is called.
    row_name: String,
    /// Width and height in pixels until the first frame tells its own.
    image_size: (u32, u32),
    /// The one cell of the grid that the tab key reaches.
    #[prop(into)]
    current: Signal<CellAddress>,
    /// Whether the cell's strip is open.
    #[prop(into)]
    is_open: Signal<bool>,
    visibility: Visibility,
    favourite: Favouring,
    on_open: Callback<CellAddress>,
    on_focus: Callback<CellAddress>,
) -> impl IntoView {
    let Cell {
        address,
        key,
        seed,
        view: shown,
        ticked,
    } = cell;
    let element = NodeRef::<html::Td>::new();
    let in_sight = visibility.watch(element);
    let view: Signal<CellView> = shown.read_only().into();
    let state = Memo::new(move |_| view.with(|view| view.state));
    let done_seed = move || (state.get() == CellState::Done).then(|| seed.to_string());
    let name = format!("{row_name}, seed {seed}");
    let star_label = format!("Favourite: {name}");
    let label = {
        let name = name.clone();
        move || format!("{name}, {}", view.with(describe))
    };
    let model = move || view.with(|view| view.step.map(|step| model_key(step.model)));
    let percent = move || {
        view.with(|view| match view.step {
            Some(step) => f64::from(step.step) / f64::from(step.steps.max(1)) * 100.0,
            None => 0.0,
        })
    };
    let words = move || {
        view.with(|view| match (view.state, view.step) {
            (CellState::Running, Some(step)) => step_words(step).into_any(),
            (CellState::Cancelled | CellState::Failed, _) => {
                view! { <span>{view.state.label()}</span> }.into_any()
            }
            _ => ().into_any(),
        })
    };
    let picture = move || {
        in_sight.get().then(|| {
            let shown = shown.clone();
            view! { <CellCanvas shown=shown image_size=image_size /> }
        })
    };
    let tick = {
        let key = key.clone();
        move || {
            let ticked = ticked.clone();
            let checked = ticked.clone();
            (state.get() == CellState::Resting).then(|| {
                view! {
                    // The grid's own keys reach it: it is no stop of its own.
                    <input
                        type="checkbox"
                        class="tick"
                        tabindex="-1"
                        data-testid=format!("tick-{key}")
                        aria-label=format!("Finish {name}")
                        title="Finish this one"
                        prop:checked=move || checked.get()
                        on:click=move |event| event.stop_propagation()
                        on:change=move |event| ticked.set(event_target_checked(&event))
                    />
                }
            })
        }
    };
    let star = {
        let key = key.clone();
        let Favouring { grid, marks } = favourite;
        let own = key_of(&grid, address);
        move || {
            let (grid, own, key) = (grid.clone(), own.clone(), key.clone());
            (state.get() == CellState::Done).then(|| {
                let is_marked = Memo::new(move |_| marks.has(&own));
                let label = star_label.clone();
                view! {
                    // The grid's own keys reach it: it is no stop of its own.
                    <button
                        type="button"
                        class="star"
                        tabindex="-1"
                        data-testid=format!("star-{key}")
                        aria-label=label
                        aria-pressed=move || is_marked.get().to_string()
                        title="Favourite: it is kept in History, larger than the other pictures there (F)"
                        on:click=move |event| {
                            event.stop_propagation();
                            marks.toggle(&grid, address);
                        }
                    >
                        {move || if is_marked.get() { "★" } else { "☆" }}
                    </button>
                }
            })
        }
    };
    view! {
        <td
            node_ref=element
            role="gridcell"
            class="cell"
            class:cancelled=move || state.get() == CellState::Cancelled
            class:open=is_open
            tabindex=move || if current.get() == address { "0" } else { "-1" }
            aria-label=label
            aria-selected=move || is_open.get().to_string()
            data-testid=format!("cell-{key}")
            data-state=move || state.get().key()
            data-seed=done_seed
            data-model=model
            data-row=address.row.to_string()
            data-column=address.column.to_string()
            on:click=move |_| on_open.run(address)
            on:focus=move |_| on_focus.run(address)
        >
            {picture}
            {tick}
            {star}
            <p class="cell-words" aria-hidden="true">
                {words}
            </p>
            <div class="cell-bar" aria-hidden="true">
                <i style=move || format!("inline-size:{:.1}%", percent())></i>
            </div>
        </td>
    }
}

/// The canvas, drawn anew with each preview and with the image.
#[component]
fn CellCanvas(shown: ArcRwSignal<CellView>, image_size: (u32, u32)) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    Effect::new(move |_| {
        let frame = shown.with(|view| view.frame.clone());
        if let (Some(canvas), Some(frame)) = (canvas.get(), frame)
            && draw(&canvas, &frame).is_err()
        {
            shown.update(|view| {
                view.frame = None;
                view.state = CellState::Failed;
            });
        }
    });
    view! {
        <canvas
            node_ref=canvas
            width=image_size.0.to_string()
            height=image_size.1.to_string()
            aria-hidden="true"
        ></canvas>
    }
}

/// The state in words, for screen readers.
fn describe(view: &CellView) -> String {
    match (view.state, view.step) {
        (CellState::Running, Some(step)) => {
            format!("running, step {} of {}", step.step, step.steps)
        }
        (state, _) => state.label().to_owned(),
    }
}

fn step_words(step: StepTaken) -> impl IntoView {
    view! {
        <span>{format!("step {}/{}", step.step, step.steps)}</span>
        <span>{format!("t {:.0}", step.timestep)}</span>
        <span class="cell-model">{model_key(step.model)}</span>
    }
}

/// Puts a frame on the canvas, pixel for pixel.
pub fn draw(canvas: &HtmlCanvasElement, frame: &Image) -> Result<(), JsValue> {
    // Setting the size clears the canvas, even to the same size: a flash at every step.
    if canvas.width() != frame.width || canvas.height() != frame.height {
        canvas.set_width(frame.width);
        canvas.set_height(frame.height);
    }
    let context = canvas
        .get_context("2d")?
        .and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok())
        .ok_or(JsValue::NULL)?;
    let pixels = ImageData::new_with_u8_clamped_array_and_sh(
        Clamped(&frame.rgba),
        frame.width,
        frame.height,
    )?;
    context.put_image_data(&pixels, 0.0, 0.0)
}
