//! The prompt's own field, which suggests what the pair knows while somebody types.

use std::sync::Arc;
use std::time::Duration;

use leptos::html::Textarea;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, HtmlTextAreaElement};

use super::wrong_field::invalid_at;
use crate::recipe::bounds::MAXIMUM_PROMPT_CHARACTERS;
use crate::view::wrong_field::WrongField;
use crate::vocabulary::{Lookup, Suggestion, to_byte_index, to_utf16_index};

/// Id of the list.
const LIST: &str = "prompt-suggestions";

/// No prompt that is drawn has more bytes.
const MAXIMUM_PROMPT_BYTES: usize = 4 * MAXIMUM_PROMPT_CHARACTERS;

/// After this long without another letter the word is taken as whole.
const PAUSE: Duration = Duration::from_millis(800);

/// The field with its list. Enter generates, or takes the suggestion that an arrow key has chosen;
/// Shift+Enter starts a new line. Where the pair has no vocabulary it is a field like any other.
#[component]
pub fn PromptCombobox(
    prompt: RwSignal<String>,
    #[prop(into)] lookup: Signal<Option<Arc<Lookup>>>,
    field: NodeRef<Textarea>,
    /// Set to where the caret stands, in bytes, for as long as somebody types.
    typing: RwSignal<Option<usize>>,
    wrong: RwSignal<Option<WrongField>>,
    /// Ids of what describes the field.
    described_by: &'static str,
    on_generate: Callback<()>,
) -> impl IntoView {
    let suggestions = RwSignal::new(Vec::<Suggestion>::new());
    // The suggestion that Enter takes; none: the field's own Enter.
    let active = RwSignal::new(None::<usize>);
    let suggests = move || lookup.with(Option::is_some);
    let is_open = Memo::new(move |_| suggestions.with(|suggestions| !suggestions.is_empty()));
    let show = move |next: Vec<Suggestion>| {
        active.set(None);
        suggestions.set(next);
    };
    let close = move || {
        if is_open.get_untracked() {
            show(Vec::new());
        }
    };

    let mut stop_typing = debounce(PAUSE, move |()| typing.set(None));
    let input = move |event| {
        let text = event_target_value(&event);
        let caret = match field.get_untracked() {
            Some(field) => caret_in(&field, &text),
            None => text.len(),
        };
        show(lookup.with_untracked(|lookup| match lookup {
            // No prompt that is drawn is longer, and to look a book up would hold the page up.
            Some(lookup) if text.len() <= MAXIMUM_PROMPT_BYTES => lookup.suggestions(&text, caret),
            _ => Vec::new(),
        }));
        typing.set(Some(caret));
        stop_typing(());
        prompt.set(text);
    };

    let take = move |index: usize| {
        let chosen = suggestions.with_untracked(|suggestions| suggestions.get(index).cloned());
        let Some(suggestion) = chosen else {
            return;
        };
        let (text, caret) = prompt.with_untracked(|prompt| suggestion.taken(prompt));
        show(Vec::new());
        typing.set(None);
        if let Some(field) = field.get_untracked() {
            // Written at once: the caret can't be put into a text that isn't there yet.
            field.set_value(&text);
            let place = u32::try_from(to_utf16_index(&text, caret)).ok();
            // A caret that the browser leaves at the end is no reason to stop.
            let _ = field.set_selection_start(place);
            let _ = field.set_selection_end(place);
        }
        prompt.set(text);
    };

    // The arrow past either end of the list goes back to the field.
    let choose = move |backwards: bool| {
        let count = suggestions.with_untracked(Vec::len);
        let next = match (active.get_untracked(), backwards) {
            (None, false) => Some(0),
            (None, true) => count.checked_sub(1),
            (Some(index), false) => Some(index + 1).filter(|&next| next < count),
            (Some(index), true) => index.checked_sub(1),
        };
        active.set(next);
        let option = next.and_then(|index| document().get_element_by_id(&option_id(index)));
        if let Some(option) = option.and_then(|option| option.dyn_into::<HtmlElement>().ok()) {
            reveal(&option);
        }
    };

    let key = move |event: leptos::ev::KeyboardEvent| {
        // Enter also confirms what an input method composes, and its arrows choose there.
        if event.is_composing() {
            return;
        }
        let is_plain =
            !(event.shift_key() || event.alt_key() || event.ctrl_key() || event.meta_key());
        match event.key().as_str() {
            "Enter" if !event.shift_key() => {
                event.prevent_default();
                // A key that is held down would queue a run with each repetition.
                if event.repeat() {
                    return;
                }
                match active.get_untracked() {
                    Some(index) => take(index),
                    None => {
                        close();
                        typing.set(None);
                        on_generate.run(());
                    }
                }
            }
            key @ ("ArrowDown" | "ArrowUp") if is_plain && is_open.get_untracked() => {
                event.prevent_default();
                choose(key == "ArrowUp");
            }
            // The page's own Escape, which cancels, ignores an event that is handled here.
            "Escape" if is_open.get_untracked() => {
                event.prevent_default();
                close();
            }
            // The suggestions are for where the caret was.
            "ArrowLeft" | "ArrowRight" | "Home" | "End" | "PageUp" | "PageDown" => close(),
            _ => {}
        }
    };

    let option = move |(index, suggestion): (usize, Suggestion)| {
        let Suggestion { text, of, .. } = suggestion;
        view! {
            <li
                id=option_id(index)
                role="option"
                aria-selected=move || (active.get() == Some(index)).to_string()
                on:click=move |_| take(index)
            >
                {text}
                {of.map(|of| view! { " " <small>{format!("({of})")}</small> })}
            </li>
        }
    };
    view! {
        <div class="combobox">
            <textarea
                node_ref=field
                id="prompt"
                data-testid="prompt"
                class="prompt"
                rows="2"
                enterkeyhint="go"
                role=move || suggests().then_some("combobox")
                aria-autocomplete=move || suggests().then_some("list")
                aria-controls=move || suggests().then_some(LIST)
                aria-expanded=move || suggests().then(|| is_open.get().to_string())
                aria-activedescendant=move || active.get().map(option_id)
                aria-describedby=described_by
                aria-invalid=invalid_at(wrong, "prompt")
                prop:value=move || prompt.get()
                on:input=input
                on:keydown=key
                on:pointerdown=move |_| close()
                on:blur=move |_| {
                    close();
                    typing.set(None);
                }
            ></textarea>
            <ul
                id=LIST
                role="listbox"
                aria-label="Suggestions"
                data-testid="suggestions"
                hidden=move || !is_open.get()
                // A press must not take the focus away from the field, which would close the list.
                on:mousedown=move |event| event.prevent_default()
            >
                {move || suggestions.get().into_iter().enumerate().map(option).collect_view()}
            </ul>
        </div>
    }
}

fn option_id(index: usize) -> String {
    format!("prompt-suggestion-{index}")
}

/// Scrolls the list by as much as an option is out of sight.
fn reveal(option: &HtmlElement) {
    if let Some(list) = option.offset_parent() {
        let (top, bottom) = (
            option.offset_top(),
            option.offset_top() + option.offset_height(),
        );
        let least = bottom - list.client_height();
        list.set_scroll_top(list.scroll_top().clamp(least.min(top), top));
    }
}

/// Where the caret stands in the field's text, in bytes.
fn caret_in(field: &HtmlTextAreaElement, text: &str) -> usize {
    let units = field.selection_start().ok().flatten();
    match units.map(usize::try_from) {
        Some(Ok(units)) => to_byte_index(text, units),
        _ => text.len(),
    }
}
