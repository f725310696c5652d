//! The status line: what the engine is doing, how long it still takes, and what is wrong with the link,
//! the recipe or the engine.

use leptos::html;
use leptos::prelude::*;

use crate::page::workers::engine::Problem;
use crate::protocol::engine::LoadingFrom;
use crate::protocol::loader::{LoadProgress, Phase};
use crate::view::jobs::Activity;
use crate::view::progress::JobProgress;
use crate::view::{loading, units};

/// The status line with its progress bar, and the problems below it.
///
/// Only the headline is a live region: it changes with the phase. The numbers beside it change with
/// every step, and no one wants those read out.
#[component]
pub fn Status(
    #[prop(into)] activity: Signal<Activity>,
    /// Whether the grid that is drawn is an experiment's.
    #[prop(into)]
    draws_experiment: Signal<bool>,
    #[prop(into)] progress: Signal<JobProgress>,
    #[prop(into)] queued: Signal<usize>,
    /// Bytes that a first run fetches; none where that isn't shown.
    #[prop(into)]
    download_size: Signal<Option<u64>>,
    #[prop(into)] notices: Signal<Vec<String>>,
    /// What is to be known, where nothing is wrong.
    #[prop(into)]
    told: Signal<Option<String>>,
    #[prop(into)] problem: Signal<Option<Problem>>,
    on_go_on: Callback<()>,
) -> impl IntoView {
    let headline = Memo::new(move |_| match activity.get() {
        Activity::Drawing if draws_experiment.get() => "Drawing the experiment…".to_owned(),
        other => headline(&other),
    });
    let detail = move || match activity.get() {
        Activity::Idle => download_size.get().map(|size| {
            format!(
                "The first run fetches {} and keeps them in this browser.",
                units::size(size)
            )
        }),
        Activity::Fetching(progress) => match &progress.phase {
            Phase::Retrying(sentence) => Some(sentence.clone()),
            // The hosts have not been asked yet for the sizes.
            _ if progress.total == 0 => None,
            _ => Some(units::share(progress.received, progress.total)),
        },
        Activity::Loading {
            received, total, ..
        } => Some(units::share(received, total)),
        Activity::Preparing { done, total } if total > 0 => Some(format!(
            "{done} of {}",
            units::count(total as usize, "program", "programs")
        )),
        Activity::Drawing | Activity::Cancelling => Some(steps(progress.get())),
        _ => None,
    };
    let queue = move || match queued.get() {
        0 => None,
        number => Some(format!("{} queued", units::count(number, "run", "runs"))),
    };
    let bar = move || match activity.get() {
        Activity::Starting { .. }
        | Activity::Waiting
        | Activity::Fetching(LoadProgress { total: 0, .. })
        | Activity::Preparing { total: 0, .. } => {
            Some(view! { <progress aria-label="Progress"></progress> }.into_any())
        }
        Activity::Fetching(LoadProgress {
            received, total, ..
        })
        | Activity::Loading {
            received, total, ..
        } => Some(share_bar("Loading", received, total)),
        Activity::Preparing { done, total } => {
            Some(share_bar("Preparing", done.into(), total.into()))
        }
        Activity::Drawing | Activity::Cancelling => {
            // Bound in closures, so that a step moves the bar instead of making another one.
            Some(
                view! {
                    <progress
                        aria-label="Drawing"
                        max=move || progress.get().total.max(1).to_string()
                        value=move || progress.get().done.to_string()
                    ></progress>
                }
                .into_any(),
            )
        }
        _ => None,
    };
    // In a narrow window it stands far below the form from which files are opened.
    let told_box = NodeRef::<html::P>::new();
    Effect::new(move |_| {
        if let Some(told_box) = told_box.get() {
            // By the next frame it is laid out.
            request_animation_frame(move || {
                let nearest = web_sys::ScrollIntoViewOptions::new();
                nearest.set_block(web_sys::ScrollLogicalPosition::Nearest);
                told_box.scroll_into_view_with_scroll_into_view_options(&nearest);
            });
        }
    });
    view! {
        <div class="status" data-testid="status">
            <p class="status-line">
                <strong role="status" aria-live="polite">
                    {headline}
                </strong>
                {move || detail().map(|text| view! { <span class="detail">{text}</span> })}
                {move || queue().map(|text| view! { <span class="queued">{text}</span> })}
            </p>
            <div class="bar">{bar}</div>
            <div role="status">
                {move || {
                    told.get()
                        .map(|text| {
                            view! {
                                <p class="told" node_ref=told_box>
                                    {text}
                                </p>
                            }
                        })
                }}
            </div>
            <div role="alert">
                {move || {
                    notices
                        .get()
                        .into_iter()
                        .map(|text| view! { <p class="problem">{text}</p> })
                        .collect_view()
                }}
                {move || {
                    problem
                        .get()
                        .map(|problem| {
                            view! {
                                <p class="problem">
                                    <span>{problem.sentence}</span>
                                    <button type="button" on:click=move |_| on_go_on.run(())>
                                        {problem.remedy}
                                    </button>
                                </p>
                            }
                        })
                }}
            </div>
        </div>
    }
}

/// How much of something is done, of which nothing else is told.
fn share_bar(label: &'static str, done: u64, total: u64) -> AnyView {
    view! { <progress aria-label=label max=total.to_string() value=done.to_string()></progress> }
        .into_any()
}

/// The phase in words, without any number that changes during the phase.
fn headline(activity: &Activity) -> String {
    match activity {
        Activity::Stopped => "The engine is stopped.".to_owned(),
        Activity::Starting { draws_next: false } => "Starting the engine…".to_owned(),
        Activity::Starting { draws_next: true } => {
            "Starting the engine; drawing begins by itself…".to_owned()
        }
        Activity::Idle => "Ready.".to_owned(),
        Activity::Waiting => "Waiting for the engine…".to_owned(),
        Activity::Fetching(LoadProgress {
            phase: Phase::Asking | Phase::Loading,
            ..
        })
        | Activity::Loading {
            from: LoadingFrom::Network,
            ..
        } => "Downloading the models…".to_owned(),
        Activity::Fetching(LoadProgress { phase, .. }) => loading::phase(phase).to_owned(),
        Activity::Loading {
            from: LoadingFrom::Store,
            ..
        } => "Reading the models from this browser's store…".to_owned(),
        Activity::Preparing { .. } => "Preparing the graphics card…".to_owned(),
        Activity::Drawing => "Drawing…".to_owned(),
        Activity::Cancelling => "Cancelling after this step…".to_owned(),
        Activity::Done { images: 0, seconds } => {
            format!("First look done in {}.", units::duration(*seconds))
        }
        Activity::Done { images, seconds } => format!(
            "Done: {} in {}.",
            units::count(*images, "image", "images"),
            units::duration(*seconds)
        ),
        Activity::Cancelled => "Cancelled; what is finished stays.".to_owned(),
        Activity::Failed => "The run failed.".to_owned(),
    }
}

/// The job's finished steps, all of its steps, and the time left.
fn steps(progress: JobProgress) -> String {
    let JobProgress { done, total, .. } = progress;
    let steps = format!("step {done} of {total}");
    match progress.seconds_left {
        Some(seconds) if done < total && seconds < 1.0 => {
            format!("{steps}, less than a second left")
        }
        Some(seconds) if done < total => {
            format!("{steps}, about {} left", units::duration(seconds))
        }
        _ => steps,
    }
}
