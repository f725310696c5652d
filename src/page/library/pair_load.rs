//! The state of a pair in words, and the progress of its load.

use leptos::prelude::*;

use crate::protocol::loader::{LoadProgress, PairEntry, Phase};
use crate::view::{loading, units};

/// The state in words, and while a load runs its bytes, its speed, the time left and a bar.
///
/// Only the words are a live region: they change with the phase. The numbers beside them change a few
/// times a second, and no one wants those read out.
#[component]
pub fn PairLoad(
    entry: Memo<PairEntry>,
    /// None where no load runs.
    load: Memo<Option<LoadProgress>>,
    phase: Memo<Option<Phase>>,
) -> impl IntoView {
    let headline = Memo::new(move |_| match phase.get() {
        Some(phase) => loading::phase(&phase).to_owned(),
        None => entry.with(loading::state),
    });
    let reason = move || match phase.get() {
        Some(Phase::Retrying(reason)) => Some(view! { <p class="help">{reason}</p> }),
        _ => None,
    };
    let file = move || {
        load.with(|load| {
            let load = load.as_ref()?;
            (!load.file.is_empty()).then(|| load.file.clone())
        })
    };
    let numbers = move || {
        load.with(|load| {
            load.as_ref().map(|load| {
                let words = loading::progress(load);
                if load.total > 0 {
                    format!("{} %: {words}", units::percent(load.received, load.total))
                } else {
                    words
                }
            })
        })
    };
    let is_loading = Memo::new(move |_| load.with(Option::is_some));
    view! {
        <p class="pair-state">
            <span role="status">{headline}</span>
            {move || {
                is_loading
                    .get()
                    .then(|| {
                        view! {
                            <span
                                class="detail"
                                data-testid="load-progress"
                                data-received=move || {
                                    load.with(|load| load.as_ref().map(|load| load.received.to_string()))
                                }
                                data-total=move || {
                                    load.with(|load| load.as_ref().map(|load| load.total.to_string()))
                                }
                            >
                                {numbers}
                            </span>
                        }
                    })
            }}
        </p>
        {reason}
        <LoadBar load=load />
        {move || file().map(|file| view! { <p class="help pair-file">{file}</p> })}
    }
}

/// A load's bar; nothing where none runs.
#[component]
pub fn LoadBar(#[prop(into)] load: Signal<Option<LoadProgress>>) -> impl IntoView {
    // None: no load runs; else whether its number of bytes is known.
    let has_end = Memo::new(move |_| {
        load.with(|load| {
            load.as_ref()
                .map(|load| load.total > 0 && load.phase != Phase::Asking)
        })
    });
    let part = move || load.with(|load| load.as_ref().map(|load| load.received.to_string()));
    let whole = move || load.with(|load| load.as_ref().map(|load| load.total.max(1).to_string()));
    move || match has_end.get() {
        None => ().into_any(),
        Some(false) => view! { <progress aria-label="Loading"></progress> }.into_any(),
        // Bound in closures, so that the bar moves instead of being made again.
        Some(true) => {
            view! { <progress aria-label="Loading" max=whole value=part></progress> }.into_any()
        }
    }
}
