//! How many tokens the prompts have, what of them is cut, and what of their syntax has an effect.

use leptos::prelude::*;

use super::controls::Controls;
use crate::protocol::engine::TokenCount;
use crate::recipe::parameters::{ON, place};
use crate::view::token_count::{Counted, Note, counted, notes};

/// The tokens of a prompt, and what of it no text encoder reads; nothing while nothing is counted.
#[component]
pub fn TokenCounter(
    counts: Signal<[Vec<TokenCount>; 3]>,
    /// Which of the lists.
    which: usize,
    handle: &'static str,
    controls: Controls,
) -> impl IntoView {
    let shown = Memo::new(move |_| {
        let is_long = controls.prompt_reading().long;
        counts.with(|counts| -> Vec<Counted> {
            let counts = counts.get(which).into_iter().flatten();
            // Further prompts are counted one by one and have no place of their own: what is right of
            // them is not said.
            let counts = counts.filter(|count| which < 2 || !count.cut.is_empty());
            counts.map(|count| counted(count, is_long)).collect()
        })
    });
    let read_all = move |_| controls.text(place::LONG_PROMPTS).set(ON.to_owned());
    let view = move |Counted {
                         tokens,
                         cut,
                         offers_long,
                     }: Counted| {
        let cut = (!cut.is_empty()).then(|| {
            view! {
                <p class="cut-prompt">
                    <span role="status">"Without effect: " <mark>{cut}</mark></span>
                    {offers_long
                        .then(|| {
                            view! {
                                " "
                                <button type="button" class="inline" on:click=read_all>
                                    "Read all of it"
                                </button>
                            }
                        })}
                </p>
            }
        });
        view! {
            <p>{tokens}</p>
            {cut}
        }
    };
    view! {
        <div class="token-counter" data-testid=handle>
            {move || shown.get().into_iter().map(view).collect_view()}
        </div>
    }
}

/// What of the prompts' syntax is read as text, and which names have no effect.
#[component]
pub fn PromptNotes(controls: Controls) -> impl IntoView {
    let shown = Memo::new(move |_| {
        let prompts = controls.all_prompts().concat();
        notes(&prompts)
    });
    let weigh = move |_| controls.text(place::WEIGHTED_PROMPT).set(ON.to_owned());
    let view = move |Note {
                         sentence,
                         offers_weights,
                     }: Note| {
        view! {
            <p>
                {sentence}
                {offers_weights
                    .then(|| {
                        view! {
                            " "
                            <button type="button" class="inline" on:click=weigh>
                                "Read them as weights"
                            </button>
                        }
                    })}
            </p>
        }
    };
    view! {
        <div class="token-counter" data-testid="prompt-notes" role="status">
            {move || shown.get().into_iter().map(view).collect_view()}
        </div>
    }
}
