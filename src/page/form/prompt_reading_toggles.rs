//! How the prompts are read.

#![expect(
    clippy::indexing_slicing,
    reason = "places are constants of the table of parameters"
)]

use leptos::prelude::*;

use super::controls::Controls;
use crate::recipe::parameters::{ON, PARAMETERS, place, word_of};

/// The two choices.
const CHOICES: [(usize, &str, &str); 2] = [
    (
        place::LONG_PROMPTS,
        "Long prompts",
        "read what exceeds 75 tokens in further chunks",
    ),
    (
        place::WEIGHTED_PROMPT,
        "Weighted prompt",
        "read (word:1.2), ((word)), [word] and BREAK as other programs do",
    ),
];

/// A checkbox for each choice.
#[component]
pub fn PromptReadingToggles(controls: Controls) -> impl IntoView {
    let checkbox = move |(place, label, help): (usize, &'static str, &'static str)| {
        let text = controls.text(place);
        let name = PARAMETERS[place].name;
        view! {
            <label class="toggle" title=help>
                <input
                    id=name
                    data-testid=name
                    type="checkbox"
                    prop:checked=move || text.with(|text| text == ON)
                    on:change=move |event| text.set(word_of(event_target_checked(&event)).to_owned())
                />
                <span>{label}</span>
            </label>
        }
    };
    view! {
        <fieldset class="bare prompt-reading">
            <legend class="visually-hidden">"How prompts are read"</legend>
            <div class="toggles">{CHOICES.map(checkbox).into_iter().collect_view()}</div>
        </fieldset>
    }
}
