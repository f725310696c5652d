//! The frames of a strip in one view, side by side.

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use super::decoded_strip::DecodedStrip;
use super::frame::FilmFrame;
use super::open_cell::OpenCell;
use super::paint::PaintQueue;
use super::region_tool::RegionTool;
use super::transport::Transport;
use crate::page::workers::grid::StripStep;
use crate::picture::image::Image;
use crate::protocol::engine::StripView;

/// The filmstrip: scrolls by itself, the frame on show always in sight.
#[component]
pub fn Film(
    handle: &'static str,
    /// What the strip is called.
    #[prop(into)]
    label: Signal<String>,
    cell: Signal<Option<OpenCell>>,
    decoded: DecodedStrip,
    view: StripView,
    /// Index of the frame on show.
    current: Memo<usize>,
    #[prop(into)] differs_from: Signal<Option<Arc<Image>>>,
    region: RegionTool,
    paint: PaintQueue,
    transport: Transport,
) -> impl IntoView {
    let list = NodeRef::<html::Ol>::new();
    let count = Memo::new(move |_| decoded.frames.with(Vec::len));
    Effect::new(move |_| {
        let (index, _) = (current.get(), count.get());
        // Where a frame stands is known only once the page has been laid out anew.
        request_animation_frame(move || {
            if let Some(list) = list.try_get_untracked().flatten() {
                bring_into_sight(&list, index);
            }
        });
    });
    let choose = Callback::new(move |timestep: f32| transport.go_to(f64::from(timestep)));
    let take_key = move |event: web_sys::KeyboardEvent| {
        let index = current.get_untracked();
        let last = count.get_untracked().saturating_sub(1);
        let index = match event.key().as_str() {
            "ArrowRight" => index.saturating_add(1).min(last),
            "ArrowLeft" => index.saturating_sub(1),
            "Home" => 0,
            "End" => last,
            _ => return,
        };
        event.prevent_default();
        let timestep = decoded
            .frames
            .with_untracked(|frames| frames.get(index).map(|frame| frame.timestep));
        if let Some(timestep) = timestep {
            choose.run(timestep);
        }
        if let Some(frame) = list.get_untracked().and_then(|list| frame_at(&list, index)) {
            // In sight it comes by the effect above: the browser would scroll the page as well.
            let options = web_sys::FocusOptions::new();
            options.set_prevent_scroll(true);
            let _ = frame.focus_with_options(&options);
        }
    };
    let frame = move |(index, step): (usize, StripStep)| {
        let adapters = cell.with_untracked(|cell| cell.as_ref()?.acting_adapters(&step));
        view! {
            <FilmFrame
                handle=handle
                step=step
                adapters=adapters
                view=view
                is_current=Signal::derive(move || current.get() == index)
                differs_from=differs_from
                region=region
                paint=paint
                on_choose=choose
            />
        }
    };
    let frames = move || {
        decoded
            .frames
            .with(|frames| frames.iter().cloned().enumerate().collect::<Vec<_>>())
    };
    view! {
        <ol class="strip-film" aria-label=label node_ref=list on:keydown=take_key>
            // A frame that is decoded anew is another one, drawn anew.
            <For
                each=frames
                key=|(index, step)| (*index, Arc::as_ptr(&step.frame) as usize)
                children=frame
            />
        </ol>
    }
}

/// The button of a frame.
fn frame_at(list: &web_sys::HtmlOListElement, index: usize) -> Option<HtmlElement> {
    let item = list.children().item(u32::try_from(index).ok()?)?;
    item.first_element_child()?.dyn_into().ok()
}

/// Scrolls the strip alone, by no more than needed.
fn bring_into_sight(list: &web_sys::HtmlOListElement, index: usize) {
    let Some(frame) = frame_at(list, index) else {
        return;
    };
    let (visible, own) = (
        list.get_bounding_client_rect(),
        frame.get_bounding_client_rect(),
    );
    let scrolled = f64::from(list.scroll_left());
    let to = if own.left() < visible.left() {
        scrolled + own.left() - visible.left()
    } else if own.right() > visible.right() {
        scrolled + own.right() - visible.right()
    } else {
        return;
    };
    list.set_scroll_left(to.round() as i32);
}
