//! Prompts that show the pair well, a click away.

use leptos::prelude::*;

/// A button per prompt.
#[component]
pub fn ExamplePrompts(
    #[prop(into)] prompts: Signal<Vec<String>>,
    on_choose: Callback<String>,
) -> impl IntoView {
    let chip = move |prompt: String| {
        let chosen = prompt.clone();
        view! {
            <li>
                <button type="button" class="chip" on:click=move |_| on_choose.run(chosen.clone())>
                    {prompt}
                </button>
            </li>
        }
    };
    view! {
        <ul class="chips" aria-label="Example prompts">
            {move || prompts.get().into_iter().map(chip).collect_view()}
        </ul>
    }
}
