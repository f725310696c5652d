//! The buttons below the prompt.

use leptos::prelude::*;

/// Generate, which submits the form around it, a first look at every cell, and cancel.
#[component]
pub fn Actions(
    #[prop(into)] busy: Signal<bool>,
    on_first_look: Callback<()>,
    on_cancel: Callback<()>,
) -> impl IntoView {
    view! {
        <div class="actions">
            <button type="submit" class="primary" data-testid="generate">
                "Generate"
            </button>
            <button
                type="button"
                data-testid="first-look"
                title="Takes one step of every cell and shows what each is aiming at. Tick the ones to finish."
                on:click=move |_| on_first_look.run(())
            >
                "First look"
            </button>
            <button
                type="button"
                data-testid="cancel"
                disabled=move || !busy.get()
                on:click=move |_| on_cancel.run(())
            >
                "Cancel"
            </button>
        </div>
    }
}
