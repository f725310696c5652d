//! How far the experiment on show has come, with what can be done about it.

use leptos::prelude::*;

use super::runner::{Experiments, RunState};
use crate::page::shell::clipboard;
use crate::view::experiments::estimate;
use crate::view::units;

/// The state of the experiment on show, and what went wrong.
#[component]
pub fn RunProgress(experiments: Experiments) -> impl IntoView {
    let state = experiments.state;
    let measuring = experiments.measuring;
    let headline = move || match state.get() {
        RunState::Nothing => "No experiment is on show: start one, or open one that is kept here.",
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
    let buttons = move || {
        let state = state.get();
        let is_running = matches!(state, RunState::Waiting | RunState::Running);
        view! {
            {is_running
                .then(|| {
                    view! {
                        <button
                            type="button"
                            data-testid="experiment-pause"
                            on:click=move |_| experiments.pause()
                        >
                            "Pause"
                        </button>
                    }
                })}
            {move || {
                measuring
                    .get()
                    .map(|(done, all)| {
                        view! {
                            <span class="detail" data-testid="experiment-measuring">
                                {format!("{done} of {all} rows measured")}
                            </span>
                            <button
                                type="button"
                                data-testid="experiment-stop-measuring"
                                on:click=move |_| experiments.stop_measuring()
                            >
                                "Stop measuring"
                            </button>
                        }
                    })
            }}
            {(state == RunState::Paused)
                .then(|| {
                    view! {
                        <button
                            type="button"
                            class="primary"
                            data-testid="experiment-go-on"
                            on:click=move |_| experiments.go_on()
                        >
                            "Go on"
                        </button>
                    }
                })}
            {(state != RunState::Nothing)
                .then(|| {
                    view! {
                        <button
                            type="button"
                            data-testid="experiment-cancel"
                            on:click=move |_| experiments.close_run()
                        >
                            {if state == RunState::Finished { "Close" } else { "Cancel" }}
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
                })}
        }
    };
    view! {
        <div
            class="experiment-progress"
            data-testid="experiment-state"
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
            <div class="experiment-buttons">{buttons}</div>
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
