//! What to draw and what to keep away from.

use leptos::prelude::*;

use crate::engine::recipe::MAXIMUM_PROMPT_CHARACTERS;

/// The two prompts. Enter generates; Shift+Enter starts a new line.
#[component]
pub fn PromptFields(
    prompt: RwSignal<String>,
    negative_prompt: RwSignal<String>,
    on_generate: Callback<()>,
) -> impl IntoView {
    let maximum = MAXIMUM_PROMPT_CHARACTERS.to_string();
    let submit = move |event: leptos::ev::KeyboardEvent| {
        // Enter also confirms what an input method composes.
        if event.key() == "Enter" && !event.shift_key() && !event.is_composing() {
            event.prevent_default();
            // A key that is held down would queue a run with each repetition.
            if !event.repeat() {
                on_generate.run(());
            }
        }
    };
    view! {
        <div class="field">
            <label for="prompt">"Prompt"</label>
            <textarea
                id="prompt"
                data-testid="prompt"
                class="prompt"
                rows="2"
                maxlength=maximum.clone()
                enterkeyhint="go"
                aria-describedby="prompt-help"
                prop:value=move || prompt.get()
                on:input=move |event| prompt.set(event_target_value(&event))
                on:keydown=submit
            ></textarea>
            <p id="prompt-help" class="help">
                <kbd>"Enter"</kbd>
                " generates, "
                <kbd>"Esc"</kbd>
                " cancels"
            </p>
        </div>
        <div class="field">
            <label for="negative-prompt">"Negative prompt"</label>
            <input
                id="negative-prompt"
                data-testid="negative-prompt"
                type="text"
                maxlength=maximum
                aria-describedby="negative-prompt-help"
                prop:value=move || negative_prompt.get()
                on:input=move |event| negative_prompt.set(event_target_value(&event))
            />
            <p id="negative-prompt-help" class="help">
                "Acts where a guidance below is above 1: in the base row, unless you set others."
            </p>
        </div>
    }
}
