//! The two buttons.

use leptos::prelude::*;

/// Generate, which submits the form around it, and cancel.
#[component]
pub fn Actions(#[prop(into)] busy: Signal<bool>, on_cancel: Callback<()>) -> impl IntoView {
    view! {
        <div class="actions">
            <button type="submit" class="primary" data-testid="generate">
                "Generate"
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
