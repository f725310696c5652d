//! The row of a pair in the panel.

use leptos::html;
use leptos::prelude::*;

use super::delete_question::DeleteQuestion;
use super::make_room::MakeRoom;
use super::pair_load::PairLoad;
use super::preflight_view::{Asking, PreflightView};
use crate::browser::globals::calendar;
use crate::page::workers::loader::{LoaderClient, find};
use crate::protocol::loader::{Origin, PairEntry, PairState};
use crate::view::loading;

/// The action of the row's first button.
#[derive(Clone, Copy, PartialEq)]
enum MainAction {
    /// Opens the pair's pre-flight.
    Check,
    GoOn,
    Pause,
}

impl MainAction {
    fn label(self) -> &'static str {
        match self {
            MainAction::Check => "Download…",
            MainAction::GoOn => "Go on",
            MainAction::Pause => "Pause",
        }
    }
}

/// The pair's name, state, size and buttons; below them its problem, and on demand its pre-flight and
/// the question before it is deleted.
#[component]
pub fn PairRow(
    pair: PairEntry,
    loader: LoaderClient,
    /// The address of the pair that draws.
    current: Signal<String>,
    on_use: Callback<String>,
    /// Called when the row is about to be removed, with the focus in it.
    on_gone: Callback<()>,
) -> impl IntoView {
    let address = StoredValue::new(pair.address.clone());
    let name = pair.name.clone();
    let origin = pair.origin;
    // A pair that has left the list is shown unchanged until its row is removed, too.
    let entry = Memo::new(move |last: Option<&PairEntry>| {
        let found = loader.library.with(|library| {
            address.with_value(|address| find(library.as_ref()?, address).cloned())
        });
        found
            .or_else(|| last.cloned())
            .unwrap_or_else(|| pair.clone())
    });
    let load = Memo::new(move |_| {
        loader
            .loads
            .with(|loads| address.with_value(|address| loads.get(address).cloned()))
    });
    let state = Memo::new(move |_| entry.with(|entry| entry.state));
    let phase = Memo::new(move |_| load.with(|load| load.as_ref().map(|load| load.phase.clone())));
    let is_current =
        Memo::new(move |_| address.with_value(|own| current.with(|current| current == own)));
    // None where there is nothing to load, or the first job loads the pair.
    let main = Memo::new(move |_| {
        if phase.with(Option::is_some) {
            Some(MainAction::Pause)
        } else if state.get() == PairState::Complete {
            None
        } else if origin == Origin::Bundled {
            (state.get() == PairState::Partial).then_some(MainAction::GoOn)
        } else if entry.with(|entry| entry.begun) {
            Some(MainAction::GoOn)
        } else {
            Some(MainAction::Check)
        }
    });
    let can_use = Memo::new(move |_| {
        let is_usable = origin == Origin::Bundled || state.get() == PairState::Complete;
        is_usable && !is_current.get()
    });
    let can_delete = Memo::new(move |_| {
        // What other pairs brought is theirs.
        let has_something = origin == Origin::Added
            || entry.with(|entry| entry.stored > entry.shared || entry.begun);
        // A running load has to be paused first.
        has_something && phase.with(Option::is_none)
    });
    let open_preflight = Memo::new(move |_| {
        loader.preflight.with(|open| {
            let open = open.as_ref()?;
            address
                .with_value(|address| open.address == *address)
                .then(|| open.preflight.clone())
        })
    });
    let problem = Memo::new(move |_| {
        let address = Some(address.get_value());
        loader
            .problems
            .with(|problems| problems.get(&address).cloned())
    });
    let is_full = Memo::new(move |_| {
        problem.with(|problem| problem.as_ref().is_some_and(|problem| problem.is_full))
    });
    let notices = Memo::new(move |_| {
        loader.notices.with(|notices| {
            address.with_value(|address| notices.get(address).cloned().unwrap_or_default())
        })
    });

    // One button for all actions, so that the focus stays when the action changes.
    let main_button = NodeRef::<html::Button>::new();
    let focus_main = Callback::new(move |()| {
        // By the next frame the button has its new label.
        request_animation_frame(move || {
            if let Some(button) = main_button.get_untracked() {
                let _ = button.focus();
            }
        });
    });
    // The heading takes the focus, as no button is certain to be there afterwards.
    let heading = NodeRef::<html::H4>::new();
    let focus_heading = move || {
        if let Some(heading) = heading.get_untracked() {
            let _ = heading.focus();
        }
    };
    let act = move |_| {
        let address = address.get_value();
        match main.get_untracked() {
            Some(MainAction::Check) => loader.check(address),
            // The loader knows that the licences have been accepted.
            Some(MainAction::GoOn) => loader.load(address, false),
            Some(MainAction::Pause) => loader.pause(address),
            None => {}
        }
    };
    let start = Callback::new(move |()| {
        loader.load(address.get_value(), true);
        focus_main.run(());
    });
    let deleted = Callback::new(move |()| {
        if origin == Origin::Added {
            on_gone.run(());
        } else {
            focus_heading();
        }
        loader.delete(address.get_value());
    });
    let asks_to_delete = RwSignal::new(false);
    let delete_button = NodeRef::<html::Button>::new();

    let facts = move || {
        entry.with(|entry| {
            let mut facts: Vec<String> = loading::stored(entry).into_iter().collect();
            let (width, height) = entry.image_size;
            facts.push(format!("{width} × {height} pixels"));
            if !entry.licence.is_empty() {
                facts.push(format!("Licence: {}", entry.licence));
            }
            if let Some(when) = entry.last_used {
                facts.push(format!("Last used {}", calendar::date(when).0));
            }
            facts
                .into_iter()
                .map(|fact| view! { <li>{fact}</li> })
                .collect_view()
        })
    };
    let labelled = move |label: &str| entry.with(|entry| format!("{label}: {}", entry.name));
    let preflight = move || {
        Some(match open_preflight.get()? {
            None => view! { <Asking /> }.into_any(),
            Some(preflight) => view! {
                <PreflightView
                    preflight=preflight
                    on_start=start
                    on_close=Callback::new(move |()| {
                        loader.dismiss_preflight();
                        focus_main.run(());
                    })
                />
            }
            .into_any(),
        })
    };
    view! {
        <li
            class="library-pair"
            data-testid="library-pair"
            data-address=address.get_value()
            data-state=move || loading::state_key(state.get())
            data-phase=move || phase.with(|phase| loading::phase_key(phase.as_ref()))
        >
            <div class="pair-head">
                <h4 node_ref=heading tabindex="-1">
                    {name}
                    {move || is_current.get().then(|| view! { " " <small class="badge">"in use"</small> })}
                </h4>
                <div class="pair-buttons">
                    <button
                        type="button"
                        data-testid="use"
                        hidden=move || !can_use.get()
                        aria-label=move || labelled("Use")
                        on:click=move |_| on_use.run(address.get_value())
                    >
                        "Use"
                    </button>
                    <button
                        type="button"
                        node_ref=main_button
                        hidden=move || main.get().is_none()
                        data-testid=move || match main.get() {
                            Some(MainAction::Pause) => "pause",
                            _ => "load",
                        }
                        aria-label=move || main.get().map(|main| labelled(main.label()))
                        on:click=act
                    >
                        {move || main.get().map(MainAction::label)}
                    </button>
                    <button
                        type="button"
                        node_ref=delete_button
                        data-testid="delete"
                        hidden=move || !can_delete.get()
                        aria-label=move || labelled("Delete")
                        on:click=move |_| asks_to_delete.set(true)
                    >
                        "Delete"
                    </button>
                </div>
            </div>
            <p class="help">{move || entry.with(|entry| entry.description.clone())}</p>
            {move || {
                let notices = entry.with(|entry| entry.notices.clone()).into_iter();
                notices
                    .map(|notice| view! { <p class="help" data-testid="pair-notice">{notice}</p> })
                    .collect_view()
            }}
            <PairLoad entry=entry load=load phase=phase />
            <ul class="pair-facts">{facts}</ul>
            {move || {
                asks_to_delete
                    .get()
                    .then(|| {
                        view! {
                            <DeleteQuestion
                                pair=entry
                                asks=asks_to_delete
                                asked_by=delete_button
                                confirm_handle="confirm-delete"
                                on_confirm=deleted
                            />
                        }
                    })
            }}
            <div role="alert">
                {move || {
                    problem
                        .get()
                        .map(|problem| {
                            view! {
                                <p class="problem" data-testid="library-problem">
                                    {problem.sentence}
                                </p>
                            }
                        })
                }}
            </div>
            {move || {
                is_full
                    .get()
                    .then(|| view! { <MakeRoom loader=loader except=address.get_value() /> })
            }}
            {preflight}
            {move || {
                let notices = notices.get();
                (!notices.is_empty())
                    .then(|| {
                        view! {
                            <ul
                                class="pair-notices"
                                data-testid="library-notice"
                                aria-label="What the load went through"
                            >
                                {notices
                                    .into_iter()
                                    .map(|sentence| view! { <li>{sentence}</li> })
                                    .collect_view()}
                            </ul>
                        }
                    })
            }}
        </li>
    }
}
