//! What to draw and what to keep away from.

use std::sync::Arc;

use leptos::html::Textarea;
use leptos::prelude::*;

use super::controls::Controls;
use super::prompt_combobox::PromptCombobox;
use super::prompt_reading_toggles::PromptReadingToggles;
use super::token_counter::{PromptNotes, TokenCounter};
use super::unknown_words::UnknownWords;
use super::wrong_field::{FieldError, invalid_at};
use crate::protocol::engine::TokenCount;
use crate::vocabulary::Lookup;

/// The two prompts. Enter generates; Shift+Enter starts a new line.
#[component]
pub fn PromptFields(
    controls: Controls,
    /// The tokens of the first, the negative and the further prompts; empty while nothing counts them.
    #[prop(into)]
    counts: Signal<[Vec<TokenCount>; 3]>,
    /// What the pair knows; none where it has no vocabulary.
    #[prop(into)]
    lookup: Signal<Option<Arc<Lookup>>>,
    on_see_list: Callback<()>,
    on_generate: Callback<()>,
) -> impl IntoView {
    let field = NodeRef::<Textarea>::new();
    let typing = RwSignal::new(None::<usize>);
    let (prompt, negative_prompt) = (controls.prompt(), controls.negative_prompt());
    view! {
        <div class="field">
            <label for="prompt">"Prompt"</label>
            <PromptCombobox
                prompt=prompt
                lookup=lookup
                field=field
                typing=typing
                wrong=controls.wrong
                described_by="prompt-error prompt-help prompt-unknown"
                on_generate=on_generate
            />
            <FieldError wrong=controls.wrong handle="prompt" />
            <p id="prompt-help" class="help">
                <kbd>"Enter"</kbd>
                " generates, "
                <kbd>"Esc"</kbd>
                " cancels"
            </p>
            <TokenCounter counts=counts which=0 handle="prompt-tokens" controls=controls />
            <UnknownWords
                prompt=prompt
                lookup=lookup
                typing=typing
                field=field
                on_see_list=on_see_list
            />
        </div>
        <div class="field">
            <label for="negative-prompt">"Negative prompt"</label>
            <input
                id="negative-prompt"
                data-testid="negative-prompt"
                type="text"
                aria-describedby="negative-prompt-error negative-prompt-help"
                aria-invalid=invalid_at(controls.wrong, "negative-prompt")
                prop:value=move || negative_prompt.get()
                on:input=move |event| negative_prompt.set(event_target_value(&event))
            />
            <FieldError wrong=controls.wrong handle="negative-prompt" />
            <p id="negative-prompt-help" class="help">
                "Acts where a guidance below is above 1: in the base row, unless you set others."
            </p>
            <TokenCounter counts=counts which=1 handle="negative-prompt-tokens" controls=controls />
        </div>
        <div class="stack-small">
            <PromptReadingToggles controls=controls />
            <TokenCounter counts=counts which=2 handle="further-prompt-tokens" controls=controls />
            <PromptNotes controls=controls />
        </div>
    }
}
