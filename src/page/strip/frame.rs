//! A frame of the filmstrip.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;

use super::paint::PaintQueue;
use super::region_tool::RegionTool;
use super::strip_canvas::StripCanvas;
use crate::page::grid::cell::draw;
use crate::page::workers::grid::StripStep;
use crate::picture::image::Image;
use crate::protocol::engine::StripView;
use crate::view::rows::model_key;
use crate::view::strip::difference_frame;

/// A step in words: “step 3 of 8, timestep 626, base model”.
pub fn step_words(step: &StripStep) -> String {
    format!(
        "step {} of {}, timestep {:.0}, {} model",
        step.step,
        step.steps,
        step.timestep,
        model_key(step.model)
    )
}

/// The value of a frame's `data-view`.
pub fn view_key(view: StripView) -> &'static str {
    match view {
        StripView::Target => "target",
        StripView::Sample => "sample",
    }
}

/// The picture of a step, drawn once and again only when differences come or go.
#[component]
pub fn FilmFrame(
    /// The strip's handle.
    handle: &'static str,
    step: StripStep,
    /// The adapters that act in the step, in words; none where the recipe has no adapters.
    adapters: Option<String>,
    view: StripView,
    /// Whether it is the one on show.
    #[prop(into)]
    is_current: Signal<bool>,
    /// The picture that differences are to; none: the frame itself is shown.
    #[prop(into)]
    differs_from: Signal<Option<Arc<Image>>>,
    region: RegionTool,
    paint: PaintQueue,
    on_choose: Callback<f32>,
) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    let frame = step.frame.clone();
    Effect::new(move |_| {
        let last = differs_from.get();
        let Some(canvas) = canvas.get() else { return };
        let frame = frame.clone();
        paint.add(move || show(&canvas, &frame, last.as_deref()));
    });
    let model = model_key(step.model);
    let timestep = step.timestep;
    view! {
        <li>
            <button
                type="button"
                class=format!("strip-frame model-{model}")
                data-testid=format!("{handle}-frame-{}", step.step)
                data-step=step.step.to_string()
                data-timestep=timestep.to_string()
                data-model=model
                data-view=view_key(view)
                // The strip is one stop of the tab key, at the frame on show.
                tabindex=move || if is_current.get() { "0" } else { "-1" }
                aria-current=move || is_current.get().then_some("step")
                on:click=move |_| {
                    if !region.was_drag() {
                        on_choose.run(timestep);
                    }
                }
            >
                <StripCanvas canvas=canvas region=region />
                <span class="strip-caption">
                    <b>
                        <span class="visually-hidden">"Step "</span>
                        {step.step}
                    </b>
                    " "
                    <span>{format!("t {timestep:.0}")}</span>
                    " "
                    <span class="strip-model">{model}</span>
                    {adapters
                        .map(|adapters| {
                            view! {
                                <span class="strip-adapters" title=adapters.clone()>
                                    {adapters.clone()}
                                </span>
                            }
                        })}
                </span>
            </button>
        </li>
    }
}

/// Draws a frame, or how it differs. A canvas that can't be drawn on stays as it is: the step's
/// words stand beside it.
pub fn show(canvas: &web_sys::HtmlCanvasElement, frame: &Image, last: Option<&Image>) {
    let difference = last.and_then(|last| difference_frame(frame, last).ok());
    if draw(canvas, difference.as_ref().unwrap_or(frame)).is_err() {
        leptos::logging::warn!("A frame of the strip can't be drawn.");
    }
}
