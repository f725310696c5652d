//! What is wrong with a field, said where it stands.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use crate::view::wrong_field::WrongField;

/// The sentence about a field that is wrong; nothing while it isn't. Its id is the field's handle with
/// `-error` behind it.
#[component]
pub fn FieldError(
    wrong: RwSignal<Option<WrongField>>,
    /// The field's `data-testid`.
    #[prop(into)]
    handle: String,
) -> impl IntoView {
    let id = error_id(&handle);
    let sentence = sentence_at(wrong, handle);
    view! {
        <p id=id.clone() class="field-error" data-testid=id>
            {move || sentence.get()}
        </p>
    }
}

/// The id of the sentence about a field.
pub fn error_id(handle: &str) -> String {
    format!("{handle}-error")
}

/// The sentence about a field; none while nothing is wrong with it.
pub fn sentence_at(
    wrong: RwSignal<Option<WrongField>>,
    handle: impl Into<String>,
) -> Signal<Option<String>> {
    let handle = handle.into();
    Signal::derive(move || {
        wrong.with(|wrong| {
            let wrong = wrong.as_ref()?;
            (wrong.field == handle).then(|| wrong.sentence.clone())
        })
    })
}

/// The value of a field's `aria-invalid`.
pub fn invalid_at(
    wrong: RwSignal<Option<WrongField>>,
    handle: &'static str,
) -> Signal<Option<&'static str>> {
    let sentence = sentence_at(wrong, handle);
    Signal::derive(move || sentence.with(Option::is_some).then_some("true"))
}

/// Moves the focus to a field, and opens what hides it.
pub fn focus(handle: &str) {
    let Ok(Some(field)) = document().query_selector(&format!("[data-testid='{handle}']")) else {
        return;
    };
    let mut around: Option<Element> = field.parent_element();
    while let Some(element) = around {
        if element.tag_name() == "DETAILS" {
            // What can't be opened is focused all the same, as far as the browser lets it.
            let _ = element.set_attribute("open", "");
        }
        around = element.parent_element();
    }
    if let Some(field) = field.dyn_ref::<HtmlElement>() {
        let _ = field.focus();
        let middle = web_sys::ScrollIntoViewOptions::new();
        middle.set_block(web_sys::ScrollLogicalPosition::Center);
        field.scroll_into_view_with_scroll_into_view_options(&middle);
    }
}
