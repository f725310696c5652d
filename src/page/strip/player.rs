//! The large picture of a strip.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;

use super::decoded_strip::DecodedStrip;
use super::frame::{show, step_words, view_key};
use super::region_tool::RegionTool;
use super::strip_canvas::StripCanvas;
use crate::picture::image::Image;
use crate::protocol::engine::StripView;
use crate::view::rows::model_key;
use crate::view::strip::{Blend, mix};

/// Shows the step at the transport's position. The region is drawn and moved on it.
#[component]
pub fn Player(
    /// Its `data-testid`.
    handle: String,
    /// What it is a picture of, and in which view.
    #[prop(into)]
    label: Signal<String>,
    decoded: DecodedStrip,
    view: StripView,
    blend: Memo<Blend>,
    #[prop(into)] differs_from: Signal<Option<Arc<Image>>>,
    region: RegionTool,
) -> impl IntoView {
    let canvas = NodeRef::<html::Canvas>::new();
    // What is on the canvas follows nothing but this, and is drawn only when it changes.
    let picture = Memo::new(move |_| {
        let Blend { step, next } = blend.get();
        decoded.frames.with(|frames| {
            let frame = frames.get(step)?.frame.clone();
            let over = frames.get(step + 1).filter(|_| next > 0.0);
            Some(Shown {
                frame,
                over: over.map(|over| (over.frame.clone(), next)),
                last: differs_from.get(),
            })
        })
    });
    Effect::new(move |_| {
        if let (Some(canvas), Some(picture)) = (canvas.get(), picture.get()) {
            let last = picture.last.as_deref();
            match picture.over {
                Some((over, weight)) => show(&canvas, &mix(&picture.frame, &over, weight), last),
                None => show(&canvas, &picture.frame, last),
            }
        }
    });
    let shown = Memo::new(move |_| {
        let step = blend.with(|blend| blend.step);
        decoded.frames.with(|frames| {
            let step = frames.get(step)?;
            Some((step.step, model_key(step.model), step_words(step)))
        })
    });
    let words = move || shown.with(|shown| shown.as_ref().map(|(_, _, words)| words.clone()));
    let described = move || match words() {
        Some(words) => format!("{}: {words}", label.get()),
        None => label.get(),
    };
    let take_key = move |event: web_sys::KeyboardEvent| {
        if !event.ctrl_key() && !event.alt_key() && !event.meta_key() && region.take_key(&event) {
            event.prevent_default();
            event.stop_propagation();
        }
    };
    view! {
        <figure class="strip-player">
            // Arrow keys have a meaning of their own here, which screen readers leave to it.
            <div
                role="application"
                class="strip-stage"
                tabindex="0"
                aria-roledescription="picture"
                aria-label=described
                aria-describedby="strip-region-help"
                data-testid=handle
                data-view=view_key(view)
                data-step=move || {
                    shown.with(|shown| shown.as_ref().map(|(step, _, _)| step.to_string()))
                }
                data-model=move || shown.with(|shown| shown.as_ref().map(|(_, model, _)| *model))
                on:keydown=take_key
            >
                <StripCanvas canvas=canvas region=region finger_draws=true />
            </div>
            <figcaption class="strip-player-words">{words}</figcaption>
        </figure>
    }
}

/// What is on the canvas.
#[derive(Clone)]
struct Shown {
    frame: Arc<Image>,
    over: Option<(Arc<Image>, f32)>,
    last: Option<Arc<Image>>,
}

/// Frames are compared by where they lie: their pixels are many and never change.
impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        let same_over = match (&self.over, &other.over) {
            (Some((own, weight)), Some((others, other))) => {
                Arc::ptr_eq(own, others) && weight == other
            }
            (None, None) => true,
            _ => false,
        };
        let same_last = match (&self.last, &other.last) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            _ => false,
        };
        same_over && same_last && Arc::ptr_eq(&self.frame, &other.frame)
    }
}
