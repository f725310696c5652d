//! The images of one seed side by side, large: panes that pan and zoom together.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent, PointerEvent, WheelEvent};

use super::cell::draw;
use crate::page::workers::grid::Grid;
use crate::view::rows::row_name;

/// The largest magnification.
const MAXIMUM_ZOOM: f64 = 16.0;
/// What one press of a key, or one notch of a wheel, magnifies by.
const ZOOM_STEP: f64 = 1.25;
/// What one press of an arrow key moves by, as a share of a pane.
const PAN_STEP: f64 = 0.1;

/// The part of their image that all panes show.
#[derive(Clone, Copy, PartialEq)]
struct Viewport {
    zoom: f64,
    /// How far the image's centre is from the pane's, in widths of a pane.
    x: f64,
    /// The same in heights.
    y: f64,
}

impl Viewport {
    const WHOLE: Viewport = Viewport {
        zoom: 1.0,
        x: 0.0,
        y: 0.0,
    };

    /// Magnified by a factor around the middle.
    fn zoomed(self, factor: f64) -> Viewport {
        let zoom = (self.zoom * factor).clamp(1.0, MAXIMUM_ZOOM);
        let scale = zoom / self.zoom;
        Viewport {
            zoom,
            x: self.x * scale,
            y: self.y * scale,
        }
        .within()
    }

    fn moved(self, x: f64, y: f64) -> Viewport {
        Viewport {
            x: self.x + x,
            y: self.y + y,
            ..self
        }
        .within()
    }

    /// No further than the image's own edge.
    fn within(self) -> Viewport {
        let most = (self.zoom - 1.0) / 2.0;
        Viewport {
            zoom: self.zoom,
            x: self.x.clamp(-most, most),
            y: self.y.clamp(-most, most),
        }
    }
}

/// A dialog over the page, open while a column is chosen.
#[component]
pub fn Compare(
    grid: Arc<Grid>,
    /// The column on show.
    column: RwSignal<Option<u32>>,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let viewport = RwSignal::new(Viewport::WHOLE);
    Effect::new(move |_| {
        let is_open = column.get().is_some();
        if let Some(dialog) = dialog.get() {
            if is_open && !dialog.open() {
                viewport.set(Viewport::WHOLE);
                // Fails for a dialog that is out of the document alone.
                let _ = dialog.show_modal();
            } else if !is_open && dialog.open() {
                dialog.close();
            }
        }
    });
    let columns = grid.recipe.seed_count;
    let go = move |step: i64| {
        if let Some(shown) = column.get_untracked() {
            let next = (i64::from(shown) + step).rem_euclid(i64::from(columns.max(1)));
            column.set(u32::try_from(next).ok());
        }
    };
    let keydown = move |event: KeyboardEvent| {
        match event.key().as_str() {
            "+" | "=" => viewport.update(|it| *it = it.zoomed(ZOOM_STEP)),
            "-" => viewport.update(|it| *it = it.zoomed(1.0 / ZOOM_STEP)),
            "0" => viewport.set(Viewport::WHOLE),
            "ArrowLeft" => viewport.update(|it| *it = it.moved(PAN_STEP, 0.0)),
            "ArrowRight" => viewport.update(|it| *it = it.moved(-PAN_STEP, 0.0)),
            "ArrowUp" => viewport.update(|it| *it = it.moved(0.0, PAN_STEP)),
            "ArrowDown" => viewport.update(|it| *it = it.moved(0.0, -PAN_STEP)),
            "PageUp" => go(-1),
            "PageDown" => go(1),
            _ => return,
        }
        event.prevent_default();
    };
    let dragged = StoredValue::new(None::<(f64, f64)>);
    let pane_size = |event: &web_sys::Event| {
        let pane = event.current_target()?.dyn_into::<HtmlElement>().ok()?;
        let bounds = pane.get_bounding_client_rect();
        Some((pane, bounds.width().max(1.0), bounds.height().max(1.0)))
    };
    let down = move |event: PointerEvent| {
        if let Some((pane, ..)) = pane_size(&event) {
            // Without the capture a drag ends at the pane's edge.
            let _ = pane.set_pointer_capture(event.pointer_id());
            dragged.set_value(Some((
                f64::from(event.client_x()),
                f64::from(event.client_y()),
            )));
        }
    };
    let drag = move |event: PointerEvent| {
        if let Some((x, y)) = dragged.get_value()
            && let Some((_, width, height)) = pane_size(&event)
        {
            let at = (f64::from(event.client_x()), f64::from(event.client_y()));
            viewport.update(|it| *it = it.moved((at.0 - x) / width, (at.1 - y) / height));
            dragged.set_value(Some(at));
        }
    };
    let up = move |_: PointerEvent| dragged.set_value(None);
    let wheel = move |event: WheelEvent| {
        event.prevent_default();
        let factor = if event.delta_y() < 0.0 {
            ZOOM_STEP
        } else {
            1.0 / ZOOM_STEP
        };
        viewport.update(|it| *it = it.zoomed(factor));
    };
    let transform = move || {
        let Viewport { zoom, x, y } = viewport.get();
        format!(
            "transform:translate({:.3}%,{:.3}%) scale({zoom:.4})",
            x * 100.0,
            y * 100.0
        )
    };
    let seed = {
        let grid = grid.clone();
        Memo::new(move |_| column.get().map(|column| grid.recipe.seed_of(column)))
    };
    let (width, height) = grid.image_size;
    let panes = move || {
        let shown = column.get()?;
        let panes = grid
            .rows
            .iter()
            .filter_map(|row| {
                let cell = row.cells.get(usize::try_from(shown).ok()?)?;
                let canvas = NodeRef::<html::Canvas>::new();
                let view = cell.view.clone();
                Effect::new(move |_| {
                    if let (Some(canvas), Some(frame)) =
                        (canvas.get(), view.with(|view| view.frame.clone()))
                    {
                        // A frame that can't be drawn is marked as failed by its cell.
                        let _ = draw(&canvas, &frame);
                    }
                });
                let name = row_name(&row.row);
                let label = format!("{name}, seed {}", cell.seed);
                Some(view! {
                    <figure class="pane" data-testid=format!("pane-{}", cell.key)>
                        <div
                            class="pane-window"
                            on:pointerdown=down
                            on:pointermove=drag
                            on:pointerup=up
                            on:pointercancel=up
                            on:wheel=wheel
                        >
                            <canvas
                                node_ref=canvas
                                style=transform
                                width=grid.image_size.0.to_string()
                                height=grid.image_size.1.to_string()
                                role="img"
                                aria-label=label
                            ></canvas>
                        </div>
                        <figcaption>{name}</figcaption>
                    </figure>
                })
            })
            .collect_view();
        Some(panes)
    };
    view! {
        <dialog
            node_ref=dialog
            class="compare"
            style=format!("--image-aspect:{width}/{height}")
            data-testid="compare"
            aria-label="Images side by side"
            on:close=move |_| column.set(None)
            on:keydown=keydown
        >
            <header class="compare-header">
                <h2>{move || seed.get().map(|seed| format!("Seed {seed}, side by side"))}</h2>
                <div class="compare-buttons">
                    <button type="button" data-testid="compare-previous" on:click=move |_| go(-1)>
                        "Previous seed"
                    </button>
                    <button type="button" data-testid="compare-next" on:click=move |_| go(1)>
                        "Next seed"
                    </button>
                    <button
                        type="button"
                        aria-label="Zoom out"
                        on:click=move |_| viewport.update(|it| *it = it.zoomed(1.0 / ZOOM_STEP))
                    >
                        "−"
                    </button>
                    <output data-testid="compare-zoom">
                        {move || format!("{:.0} %", viewport.get().zoom * 100.0)}
                    </output>
                    <button
                        type="button"
                        aria-label="Zoom in"
                        data-testid="compare-zoom-in"
                        on:click=move |_| viewport.update(|it| *it = it.zoomed(ZOOM_STEP))
                    >
                        "+"
                    </button>
                    <button type="button" on:click=move |_| viewport.set(Viewport::WHOLE)>
                        "Fit"
                    </button>
                    <button
                        type="button"
                        data-testid="compare-close"
                        on:click=move |_| column.set(None)
                    >
                        "Close"
                    </button>
                </div>
            </header>
            <div class="panes">{panes}</div>
            <p class="help">
                "Drag to move all panes at once; the wheel, + and − zoom, 0 fits, Page Up and Page Down change the seed."
            </p>
        </dialog>
    }
}
