//! Which pair of a family draws.

use leptos::prelude::*;

/// A pair that can be chosen.
#[derive(Clone, PartialEq)]
pub struct Choice {
    pub name: String,
    /// The address of its manifest, relative to the page.
    pub address: String,
}

/// A radio button per pair; nothing where there is no choice.
#[component]
pub fn PairField(
    #[prop(into)] choices: Signal<Vec<Choice>>,
    /// The address of the pair in use.
    #[prop(into)]
    current: Signal<String>,
    on_choose: Callback<String>,
) -> impl IntoView {
    let button = move |Choice { name, address }: Choice| {
        let is_current = {
            let address = address.clone();
            move || current.with(|current| *current == address)
        };
        let value = address.clone();
        view! {
            <label class="toggle">
                <input
                    type="radio"
                    name="pair"
                    value=value
                    prop:checked=is_current
                    on:change=move |_| on_choose.run(address.clone())
                />
                <span>{name}</span>
            </label>
        }
    };
    move || {
        let choices = choices.get();
        (choices.len() > 1).then(|| {
            view! {
                <fieldset class="bare" data-testid="pair">
                    <legend>"Models"</legend>
                    <div class="toggles">{choices.into_iter().map(button).collect_view()}</div>
                </fieldset>
            }
        })
    }
}
