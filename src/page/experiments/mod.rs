//! Experiments: many pictures, and the tables and figures of what they show. A view in place of the pictures,
//! which keeps running when it is closed.

mod fields;
mod focus;
mod form;
mod held;
mod kept;
mod network;
mod progress;
mod results;
mod runner;
mod save;

pub use held::ExperimentForm;
pub use runner::Experiments;

use std::sync::Arc;

use leptos::html;
use leptos::prelude::*;

use crate::history::experiments::Kept;
use crate::page::form::controls::Controls;
use crate::page::form::pair_field::Choice;
use crate::vocabulary::Lookup;
use form::FormView;
use kept::KeptExperiments;
use progress::RunProgress;
use results::ResultsView;
use runner::RunState;

/// The way to the view, in the page's header; it tells of an experiment that isn't finished.
#[component]
pub fn ExperimentsButton(experiments: Experiments) -> impl IntoView {
    let state = move || match experiments.state.get() {
        RunState::Waiting | RunState::Running => {
            let (there, all) = experiments.progress.get();
            Some(format!("{there} of {all}"))
        }
        RunState::Nothing => {
            let is_unfinished = |it: &&Kept| {
                it.experiment()
                    .is_some_and(|own| u64::from(it.pictures) < own.passes().pictures)
            };
            let count = experiments.listed().iter().filter(is_unfinished).count();
            (count > 0).then(|| format!("{count} unfinished"))
        }
        RunState::Paused => {
            let (there, all) = experiments.progress.get();
            Some(format!("paused at {there} of {all}"))
        }
        RunState::Finished => None,
    };
    let is_open = experiments.is_open;
    let button = NodeRef::<html::Button>::new();
    // Back to where the visitor came from.
    Effect::new(move |was_open: Option<bool>| {
        let is_open = is_open.get();
        if was_open == Some(true)
            && !is_open
            && let Some(button) = button.get_untracked()
        {
            let _ = button.focus();
        }
        is_open
    });
    view! {
        <button
            type="button"
            node_ref=button
            class="inline"
            data-testid="experiments"
            aria-expanded=move || is_open.get().to_string()
            on:click=move |_| is_open.update(|open| *open = !*open)
        >
            {move || if is_open.get() { "Back to the pictures" } else { "Experiments" }}
        </button>
        {move || state().map(|state| view! { <small>{state}</small> })}
    }
}

/// The view, while it is open.
#[component]
pub fn ExperimentsView(
    experiments: Experiments,
    form: ExperimentForm,
    controls: Controls,
    #[prop(into)] pair_choices: Signal<Vec<Choice>>,
    /// Prompts of the pair, to be taken over.
    #[prop(into)]
    example_prompts: Signal<Vec<String>>,
    /// The words that the pair knows.
    #[prop(into)]
    lookup: Signal<Option<Arc<Lookup>>>,
    on_choose_pair: Callback<String>,
) -> impl IntoView {
    let heading = NodeRef::<html::H2>::new();
    Effect::new(move |_| {
        if let Some(heading) = heading.get() {
            let _ = heading.focus();
        }
    });
    move || {
        experiments.is_open.get().then(|| {
            view! {
                <main class="experiments" data-testid="experiments-view">
                    <section class="experiment-side" aria-label="What to compare">
                        <h2 node_ref=heading tabindex="-1">
                            "Experiments"
                        </h2>
                        <p class="help">
                            "Many pictures for tables and figures, as in the paper: drawn here, one grid after the other, and kept in this browser."
                        </p>
                        <FormView
                            experiments=experiments
                            form=form
                            controls=controls
                            pair_choices=pair_choices
                            example_prompts=example_prompts
                            lookup=lookup
                            on_choose_pair=on_choose_pair
                        />
                        <KeptExperiments experiments=experiments />
                    </section>
                    <section class="experiment-results" aria-label="What was found">
                        <RunProgress experiments=experiments />
                        <ResultsView experiments=experiments />
                    </section>
                </main>
            }
        })
    }
}
