//! The question before a pair is deleted, in the pair's row.

use leptos::html;
use leptos::prelude::*;

use crate::protocol::loader::PairEntry;
use crate::view::loading;

/// Sentences about what would go and what would stay, and the two answers. The focus is on the answer
/// that changes nothing, and returns to the button that opened the question.
#[component]
pub fn DeleteQuestion(
    #[prop(into)] pair: Signal<PairEntry>,
    /// Whether the question is shown.
    asks: RwSignal<bool>,
    /// The button that opened the question.
    asked_by: NodeRef<html::Button>,
    /// The `data-testid` of the answer that deletes.
    confirm_handle: &'static str,
    on_confirm: Callback<()>,
) -> impl IntoView {
    let keep = NodeRef::<html::Button>::new();
    Effect::new(move |_| {
        if let Some(keep) = keep.get() {
            let _ = keep.focus();
        }
    });
    let cancel = move || {
        if let Some(button) = asked_by.get_untracked() {
            let _ = button.focus();
        }
        asks.set(false);
    };
    let sentence = pair.with_untracked(loading::deletion);
    view! {
        <div
            class="delete-question"
            role="group"
            aria-label="Delete?"
            on:keydown=move |event| {
                // Escape answers the question and doesn't close the panel.
                if event.key() == "Escape" {
                    event.prevent_default();
                    cancel();
                }
            }
        >
            <span>{sentence}</span>
            <button type="button" node_ref=keep on:click=move |_| cancel()>
                "Keep it"
            </button>
            <button
                type="button"
                data-testid=confirm_handle
                on:click=move |_| {
                    asks.set(false);
                    on_confirm.run(());
                }
            >
                "Delete"
            </button>
        </div>
    }
}
