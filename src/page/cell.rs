//! A cell of the grid: the preview while it runs, then the image.

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::{Clamped, JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use super::job::{Cell, CellState, CellView, StepTaken};
use super::model_strip::model_key;
use crate::engine::protocol::Frame;

/// A canvas of the image's true size, which the stylesheet scales up.
#[component]
pub fn GridCell(
    cell: Cell,
    /// What the row is called.
    row_name: String,
    /// Width and height in pixels until the first frame tells its own.
    image_size: (u32, u32),
) -> impl IntoView {
    let Cell {
        key,
        seed,
        view: shown,
        ..
    } = cell;
    let canvas = NodeRef::<html::Canvas>::new();
    let drawn = shown.clone();
    Effect::new(move |_| {
        let frame = drawn.with(|view| view.frame.clone());
        if let (Some(canvas), Some(frame)) = (canvas.get(), frame)
            && draw(&canvas, &frame).is_err()
        {
            drawn.update(|view| {
                view.frame = None;
                view.state = CellState::Failed;
            });
        }
    });
    let view = Signal::derive(move || shown.get());
    let state = move || view.with(|view| view.state);
    let done_seed = move || (state() == CellState::Done).then(|| seed.to_string());
    let label = move || {
        let state = view.with(describe);
        format!("{row_name}, seed {seed}, {state}")
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
    view! {
        <td
            role="cell"
            class="cell"
            class:cancelled=move || state() == CellState::Cancelled
            data-testid=format!("cell-{key}")
            data-state=move || state().key()
            data-seed=done_seed
            data-model=model
        >
            <canvas
                node_ref=canvas
                width=image_size.0.to_string()
                height=image_size.1.to_string()
                role="img"
                aria-label=label
            ></canvas>
            <p class="cell-words" aria-hidden="true">
                {words}
            </p>
            <div class="cell-bar" aria-hidden="true">
                <i style=move || format!("inline-size:{:.1}%", percent())></i>
            </div>
        </td>
    }
}

/// The state for those who can't see the picture.
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
pub fn draw(canvas: &HtmlCanvasElement, frame: &Frame) -> Result<(), JsValue> {
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
