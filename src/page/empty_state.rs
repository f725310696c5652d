//! What stands in the grid's place before the first run.

use leptos::prelude::*;

/// A line on what will be here, and a button.
#[component]
pub fn EmptyState(
    #[prop(into)] prompt: Signal<String>,
    on_generate: Callback<()>,
) -> impl IntoView {
    let label = move || {
        prompt.with(|prompt| match prompt.trim() {
            "" => "Generate".to_owned(),
            prompt => format!("Generate “{prompt}”"),
        })
    };
    view! {
        <div class="empty">
            <p>
                "The same seeds, drawn side by side by the distilled model alone and with the base "
                "model's first step."
            </p>
            <button type="button" class="primary" on:click=move |_| on_generate.run(())>
                {label}
            </button>
        </div>
    }
}
