//! How far the experiment on show has come, with what can be done about it.

use leptos::prelude::*;

use super::focus::focus_if_lost;
use super::runner::{Experiments, RunState};
use crate::page::shell::clipboard;
use crate::view::experiments::estimate;
use crate::view::units;

/// The handle of what tells how far it has come.
pub(super) const PROGRESS: &str = "experiment-state";

/// The state of the experiment on show, and what went wrong.
#[component]
pub fn RunProgress(experiments: Experiments) -> impl IntoView {
    let state = experiments.state;
    let measuring = experiments.measuring;
    let headline = move || match state.get() {
        RunState::Nothing => "No experiment is on show: start one, or open one that is kept here.",
        RunState::Waiting | RunState::Running if experiments.waits_for_a_grid() => {
            "Waiting for the grid of your own that is being drawn…"
        }
        RunState::Waiting => "Waiting for the models…",
        RunState::Running => "Drawing…",
        RunState::Paused => "Paused; what is finished stays.",
        RunState::Finished if measuring.get().is_some() => "A network looks at the pictures…",
        RunState::Finished if experiments.has_images.get() => "All pictures are there.",
        RunState::Finished => {
            "All numbers are there; the pictures are not kept in this browser, so no network can look at them: start it again to draw them."
        }
    };
    let has_one = Memo::new(move |_| state.get() != RunState::Nothing);
    let detail = move || {
        let (there, all) = experiments.progress.get();
        let left = experiments.shown.with(|shown| {
            let (_, experiment) = shown.as_ref()?;
            let passes = estimate::left(experiment, there);
            let seconds = experiments.times.get().seconds(&passes)?;
            (there < all).then(|| format!(", about {} left", units::duration(seconds)))
        });
        let left = left.unwrap_or_default();
        has_one
            .get()
            .then(|| format!("{there} of {all} pictures{left}"))
    };
    let engine_problem = move || {
        let problem = experiments.engine.problem.get()?;
        has_one.get().then_some(problem.sentence)
    };
    let copied = RwSignal::new(None::<String>);
    let copy = move |_| {
        let Some((_, experiment)) = experiments.shown.get_untracked() else {
            return;
        };
        let link = experiment.to_link().map_err(|error| error.to_string());
        let link = link.map(|link| {
            let href = location().href().unwrap_or_default();
            let page = href.split('#').next().unwrap_or_default();
            format!("{page}#{link}")
        });
        leptos::task::spawn_local(async move {
            copied.set(Some(match link {
                Err(sentence) => sentence,
                Ok(link) if clipboard::copy(&link).await => "Link copied.".to_owned(),
                Ok(link) => {
                    format!("This browser doesn't let the page copy. The link is: {link}")
                }
            }));
        });
    };
    let is_running = Memo::new(move |_| experiments.is_running());
    // One button for both, so that it keeps the focus.
    let can_run = Memo::new(move |_| is_running.get() || state.get() == RunState::Paused);
    let pause_or_go_on = move || {
        can_run.get().then(|| {
            view! {
                <button
                    type="button"
                    class:primary=move || !is_running.get()
                    data-testid=move || {
                        if is_running.get() { "experiment-pause" } else { "experiment-go-on" }
                    }
                    on:click=move |_| {
                        if is_running.get_untracked() {
                            experiments.pause();
                        } else {
                            experiments.go_on();
                        }
                    }
                >
                    {move || if is_running.get() { "Pause" } else { "Go on" }}
                </button>
            }
        })
    };
    let of_measuring = move || {
        measuring.get().map(|(done, all)| {
            view! {
                <span class="detail" data-testid="experiment-measuring">
                    {format!("{done} of {all} rows measured")}
                </span>
            }
        })
    };
    let is_measuring = Memo::new(move |_| measuring.get().is_some());
    let stop_measuring = move || {
        is_measuring.get().then(|| {
            view! {
                <button
                    type="button"
                    data-testid="experiment-stop-measuring"
                    on:click=move |_| experiments.stop_measuring()
                >
                    "Stop measuring"
                </button>
            }
        })
    };
    let of_one = move || {
        has_one.get().then(|| {
            view! {
                <button
                    type="button"
                    data-testid="experiment-cancel"
                    on:click=move |_| experiments.close_run()
                >
                    {move || if state.get() == RunState::Finished { "Close" } else { "Cancel" }}
                </button>
                <button
                    type="button"
                    data-testid="experiment-export"
                    on:click=move |_| experiments.export()
                >
                    "Save the results (JSON)"
                </button>
                <button
                    type="button"
                    data-testid="experiment-export-all"
                    title="Tables, figures, pictures, latents and all numbers"
                    on:click=move |_| experiments.export_all()
                >
                    "Save everything (ZIP)"
                </button>
                <button type="button" data-testid="experiment-link" on:click=copy>
                    "Copy the link"
                </button>
            }
        })
    };
    // A button that goes leaves its focus here.
    Effect::new(move |_| {
        can_run.track();
        is_measuring.track();
        has_one.track();
        focus_if_lost(PROGRESS);
    });
    view! {
        <div
            class="experiment-progress"
            tabindex="-1"
            data-testid=PROGRESS
            data-state=move || {
                match state.get() {
                    RunState::Nothing => "nothing",
                    RunState::Waiting => "waiting",
                    RunState::Running => "running",
                    RunState::Paused => "paused",
                    RunState::Finished => "finished",
                }
            }
        >
            <p class="status-line">
                <strong role="status" aria-live="polite">
                    {headline}
                </strong>
                <span class="detail">{detail}</span>
            </p>
            {move || {
                has_one
                    .get()
                    .then(|| {
                        view! {
                            <progress
                                aria-label="Pictures of the experiment"
                                max=move || experiments.progress.get().1.max(1).to_string()
                                value=move || experiments.progress.get().0.to_string()
                            ></progress>
                        }
                    })
            }}
            <div class="experiment-buttons">
                {pause_or_go_on} {of_measuring} {stop_measuring} {of_one}
            </div>
            <p class="help" role="status" data-testid="experiment-copied">
                {copied}
            </p>
            <div role="alert">
                {move || {
                    [experiments.problem.get(), engine_problem()]
                        .into_iter()
                        .flatten()
                        .map(|sentence| {
                            view! {
                                <p class="problem" data-testid="experiment-problem">
                                    {sentence}
                                </p>
                            }
                        })
                        .collect_view()
                }}
            </div>
        </div>
    }
}
