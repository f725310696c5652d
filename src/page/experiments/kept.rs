//! The experiments that this browser keeps.

use leptos::prelude::*;

use super::runner::{Experiments, RunState};
use crate::history::experiments::Kept;
use crate::view::units;

/// The list of kept experiments; nothing where there is none.
#[component]
pub fn KeptExperiments(experiments: Experiments) -> impl IntoView {
    experiments.list();
    let row = move |kept: Kept| {
        let id = kept.id;
        let experiment = kept.experiment();
        let (name, all) = experiment.map_or_else(
            || ("Of another version of this page".to_owned(), 0),
            |it| {
                let prompts = units::count(it.prompts.len(), "prompt", "prompts");
                (
                    format!("{}, {prompts}", it.study.name()),
                    it.passes().pictures,
                )
            },
        );
        let is_shown = move || {
            experiments
                .shown
                .with(|it| it.as_ref().is_some_and(|(shown, _)| *shown == id))
        };
        let state = format!("{} of {all} pictures · {}", kept.pictures, kept.pair_name);
        let open_label = format!("Open {name}");
        let delete_label = format!("Delete {name}");
        view! {
            <li aria-current=move || is_shown().then_some("true")>
                <div>
                    <span>{name}</span>
                    <small>{state}</small>
                </div>
                <div class="experiment-buttons">
                    <button
                        type="button"
                        class="chip"
                        aria-label=open_label
                        data-testid="experiment-open-kept"
                        disabled=move || {
                            is_shown() && experiments.state.get() == RunState::Running
                        }
                        on:click=move |_| experiments.open(id)
                    >
                        "Open"
                    </button>
                    <button
                        type="button"
                        class="chip"
                        aria-label=delete_label
                        data-testid="experiment-delete"
                        on:click=move |_| experiments.delete(id)
                    >
                        "Delete"
                    </button>
                </div>
            </li>
        }
    };
    move || {
        let kept = experiments.kept.get().unwrap_or_default();
        (!kept.is_empty()).then(|| {
            view! {
                <section class="experiments-kept" aria-label="Kept experiments">
                    <h3>"Kept in this browser"</h3>
                    <ul data-testid="experiments-kept">{kept.into_iter().map(row).collect_view()}</ul>
                </section>
            }
        })
    }
}
