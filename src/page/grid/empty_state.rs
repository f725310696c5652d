//! What stands in the grid's place before the first run.

use leptos::prelude::*;

use super::examples::{EXAMPLES, Example};

/// A line on what will be here, a button, and recipes that show the effect.
#[component]
pub fn EmptyState(
    #[prop(into)] prompt: Signal<String>,
    on_generate: Callback<()>,
    on_example: Callback<Example>,
) -> impl IntoView {
    let label = move || {
        prompt.with(|prompt| match prompt.trim() {
            "" => "Generate".to_owned(),
            prompt => format!("Generate “{prompt}”"),
        })
    };
    let examples = EXAMPLES.map(|example| {
        view! {
            <li>
                <button
                    type="button"
                    class="example"
                    data-testid=format!("example-{}", example.key)
                    on:click=move |_| on_example.run(example)
                >
                    <b>{example.name}</b>
                    <span>{example.explanation}</span>
                </button>
            </li>
        }
    });
    view! {
        <div class="empty">
            <p>
                "The same seeds side by side: drawn by the distilled model alone, and with the first "
                "steps by the base model."
            </p>
            <button type="button" class="primary" on:click=move |_| on_generate.run(())>
                {label}
            </button>
            <ul class="examples" aria-label="Examples">
                {examples.into_iter().collect_view()}
            </ul>
        </div>
    }
}
