//! A note on words of the prompt that the pair never saw.

use std::sync::Arc;

use leptos::html::Textarea;
use leptos::prelude::*;

use crate::recipe::bounds::MAXIMUM_PROMPT_CHARACTERS;
use crate::view::unknown_words::{NAMED_WORDS, unknown_words};
use crate::vocabulary::Lookup;

/// The note, and words that may have been meant instead; nothing where every word is known.
#[component]
pub fn UnknownWords(
    prompt: RwSignal<String>,
    #[prop(into)] lookup: Signal<Option<Arc<Lookup>>>,
    /// Where the caret stands, in bytes, while somebody types: that word is not judged yet.
    #[prop(into)]
    typing: Signal<Option<usize>>,
    /// The prompt's field, which gets the focus once a word is replaced: its button is gone then.
    field: NodeRef<Textarea>,
    on_see_list: Callback<()>,
) -> impl IntoView {
    let unknown = Memo::new(move |_| {
        lookup.with(|lookup| match lookup {
            Some(lookup) => prompt.with(|prompt| {
                // A prompt that is too long to be drawn has its own sentence.
                if prompt.chars().count() > MAXIMUM_PROMPT_CHARACTERS {
                    return Vec::new();
                }
                lookup.unknown_words(prompt, typing.get())
            }),
            None => Vec::new(),
        })
    });
    // Without their places: typing in front of them changes nothing about the note.
    let words = Memo::new(move |_| {
        unknown.with(|unknown| -> Vec<String> {
            unknown.iter().map(|unknown| unknown.word.clone()).collect()
        })
    });
    // Pairs of an unknown word and one that may have been meant.
    let near = Memo::new(move |_| {
        lookup.with(|lookup| {
            let mut near = Vec::new();
            for word in words.get().into_iter().take(NAMED_WORDS) {
                for meant in lookup.iter().flat_map(|lookup| lookup.near_words(&word)) {
                    near.push((word.clone(), meant.to_owned()));
                }
            }
            near
        })
    });

    let replace = move |word: &str, meant: &str| {
        let replaced = unknown.with_untracked(|unknown| {
            let unknown = unknown.iter().find(|unknown| unknown.word == word)?;
            Some(prompt.with_untracked(|prompt| unknown.replaced(prompt, meant)))
        });
        if let Some(text) = replaced {
            prompt.set(text);
        }
        if let Some(field) = field.get_untracked() {
            // Without the focus the prompt is right all the same.
            let _ = field.focus();
        }
    };
    let chip = move |(word, meant): (String, String)| {
        let label = meant.clone();
        view! {
            <button type="button" class="chip" on:click=move |_| replace(&word, &meant)>
                {label}
            </button>
        }
    };
    let is_shown = move || words.with(|words| !words.is_empty());
    view! {
        <div class="unknown-words" data-testid="unknown-words">
            <p>
                // There before its text is: screen readers announce changes alone.
                <span id="prompt-unknown" role="status">
                    {move || words.with(|words| unknown_words(words))}
                </span>
                {move || {
                    is_shown()
                        .then(|| {
                            view! {
                                " It draws what it knows: "
                                <button
                                    type="button"
                                    class="inline"
                                    on:click=move |_| on_see_list.run(())
                                >
                                    "see the list"
                                </button>
                                "."
                            }
                        })
                }}
            </p>
            {move || {
                let near = near.get();
                (!near.is_empty())
                    .then(|| {
                        view! {
                            <p class="meant">
                                "Did you mean "
                                {near.into_iter().map(chip).collect_view()}
                                "?"
                            </p>
                        }
                    })
            }}
        </div>
    }
}
