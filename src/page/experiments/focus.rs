//! Where the keyboard goes on when the control that had the focus is gone.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{FocusOptions, HtmlElement};

/// Moves the focus to an element, by its `data-testid`, as soon as the page shows what it shows next; the
/// page doesn't scroll.
pub(super) fn focus_soon(handle: &'static str) {
    request_animation_frame(move || focus(handle));
}

/// The same, unless something else has the focus by then.
pub(super) fn focus_if_lost(handle: &'static str) {
    request_animation_frame(move || {
        let has_focus = |element: &web_sys::Element| element.tag_name() != "BODY";
        if !document().active_element().as_ref().is_some_and(has_focus) {
            focus(handle);
        }
    });
}

fn focus(handle: &str) {
    let found = document().query_selector(&format!("[data-testid='{handle}']"));
    if let Ok(Some(element)) = found
        && let Some(element) = element.dyn_ref::<HtmlElement>()
    {
        let options = FocusOptions::new();
        options.set_prevent_scroll(true);
        let _ = element.focus_with_options(&options);
    }
}
