//! The experiments that this browser keeps.

use leptos::prelude::*;

use super::focus::focus_soon;
use super::form::reveal_results;
use super::progress::PROGRESS;
use super::runner::{Experiments, RunState};
use crate::browser::globals::calendar;
use crate::history::experiments::Kept;
use crate::recipe::excerpt::excerpt;
use crate::view::units;

const UNDO: &str = "experiment-undo";
const LIST: &str = "experiments-kept";

/// The list of kept experiments; nothing where there is none.
#[component]
pub fn KeptExperiments(experiments: Experiments) -> impl IntoView {
    experiments.list();
    let row = move |kept: Kept| {
        let id = kept.id;
        let experiment = kept.experiment();
        let all = experiment.as_ref().map_or(0, |it| it.passes().pictures);
        let name = name(&kept);
        // The number of an experiment is its time, far below 2^53.
        let (begun, machine_begun) = calendar::date(id as f64);
        let is_shown = move || {
            experiments
                .shown
                .with(|it| it.as_ref().is_some_and(|(shown, _)| *shown == id))
        };
        let each = experiment.as_ref().map_or_else(String::new, |it| {
            let images = units::count(it.images as usize, "image", "images");
            let conditions = it.conditions().len();
            let conditions = units::count(conditions, "condition", "conditions");
            format!(" · {images}, {conditions}")
        });
        let state = format!(
            "{each} · {} of {all} pictures · {}",
            kept.pictures, kept.pair_name
        );
        let open_label = format!("Open {name}");
        let delete_label = format!("Delete {name}");
        view! {
            <li aria-current=move || is_shown().then_some("true")>
                <div>
                    <span>{name}</span>
                    <small>
                        <time datetime=machine_begun>{begun}</time>
                        {state}
                    </small>
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
                        on:click=move |_| {
                            experiments.open(id);
                            reveal_results();
                            focus_soon(PROGRESS);
                        }
                    >
                        "Open"
                    </button>
                    <button
                        type="button"
                        class="chip"
                        aria-label=delete_label
                        data-testid="experiment-delete"
                        on:click=move |_| experiments.delete(kept.clone())
                    >
                        "Delete"
                    </button>
                </div>
            </li>
        }
    };
    Effect::new(move |_| {
        if experiments.deleted.with(Option::is_some) {
            focus_soon(UNDO);
        }
    });
    let undo = move || {
        experiments.deleted.get().map(|kept| {
            view! {
                <span>{format!("“{}” was deleted. ", name(&kept))}</span>
                <button
                    type="button"
                    class="inline"
                    data-testid=UNDO
                    on:click=move |_| {
                        experiments.restore();
                        focus_soon(LIST);
                    }
                >
                    "Undo"
                </button>
            }
        })
    };
    let is_empty = move || {
        let deleted = experiments.deleted.with(Option::is_none);
        deleted && experiments.listed().is_empty()
    };
    view! {
        <section
            class="experiments-kept"
            aria-label="Kept experiments"
            hidden=is_empty
        >
            <h3>"Kept in this browser"</h3>
            <p class="help undo" role="status">
                {undo}
            </p>
            <ul tabindex="-1" data-testid=LIST>
                {move || experiments.listed().into_iter().map(row).collect_view()}
            </ul>
        </section>
    }
}

/// What an experiment compares, and what it draws.
fn name(kept: &Kept) -> String {
    let Some(experiment) = kept.experiment() else {
        return "Of another version of this page".to_owned();
    };
    let first = experiment.prompts.first().map(|it| excerpt(it));
    let first = first.unwrap_or_default();
    let others = match experiment.prompts.len() {
        0 | 1 => String::new(),
        number => format!(
            " and {}",
            units::count(number - 1, "other prompt", "other prompts")
        ),
    };
    format!("{}: {first}{others}", experiment.study.name())
}
