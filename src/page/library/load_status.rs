//! The progress of the loads on the page itself, for when the panel is closed, and the way back to the
//! panel.

use leptos::prelude::*;

use super::pair_load::LoadBar;
use super::panel::Panel;
use crate::page::workers::loader::LoaderClient;
use crate::protocol::loader::PairState;
use crate::view::{loading, units};

/// A line for each load that runs, has failed or was left unfinished on an earlier visit, and a line
/// for a pair that has just become complete; nothing where there are none.
#[component]
pub fn LoadStatus(
    loader: LoaderClient,
    panel: Panel,
    /// The address of the pair that draws.
    #[prop(into)]
    current: Signal<String>,
    /// Called with the address of a pair that is to draw.
    on_use: Callback<String>,
) -> impl IntoView {
    let name = move |address: &str| loader.name_of(address);
    let addresses = Memo::new(move |_| -> Vec<String> {
        // The engine's own status shows the load that it waits for.
        let awaited = loader.awaited.get();
        loader.loads.with(|loads| {
            let addresses = loads
                .keys()
                .filter(|address| Some(*address) != awaited.as_ref());
            addresses.cloned().collect()
        })
    });
    let running = move |address: String| {
        let is_pair = untrack(|| loader.network(&address)).is_none();
        let own = address.clone();
        let load = Memo::new(move |_| loader.loads.with(|loads| loads.get(&own).cloned()));
        let headline = Memo::new(move |_| {
            load.with(|load| {
                let load = load.as_ref()?;
                Some(format!(
                    "{}: {}",
                    name(&load.address),
                    loading::phase(&load.phase)
                ))
            })
        });
        let numbers = move || {
            load.with(|load| {
                let load = load.as_ref().filter(|load| load.total > 0)?;
                let percent = units::percent(load.received, load.total);
                Some(match loading::time_left(load) {
                    Some(time) => format!("{percent} %, {time}"),
                    None => format!("{percent} %"),
                })
            })
        };
        view! {
            <div class="load-status" data-testid="load-status">
                <p class="status-line">
                    <span role="status">{headline}</span>
                    <span class="detail">{numbers}</span>
                    // A network is shown among the experiments.
                    {is_pair
                        .then(|| {
                            view! {
                                <button type="button" class="inline" on:click=move |_| panel.open()>
                                    "Show"
                                </button>
                            }
                        })}
                </p>
                <LoadBar load=load />
            </div>
        }
    };
    let problems = Memo::new(move |_| -> Vec<String> {
        loader.problems.with(|problems| {
            let sentences = problems.iter().map(|(address, problem)| match address {
                Some(address) => format!("{}: {}", name(address), problem.sentence),
                None => problem.sentence.clone(),
            });
            sentences.collect()
        })
    });
    let failed = move || {
        let problems = problems.get();
        problems
            .into_iter()
            .map(|sentence| {
                view! {
                    <p class="problem">
                        <span>{sentence}</span>
                        <button type="button" on:click=move |_| panel.open()>
                            "Show"
                        </button>
                    </p>
                }
            })
            .collect_view()
    };
    // The loads that an earlier visit left unfinished and that have no other line.
    let left = Memo::new(move |_| -> Vec<(String, String)> {
        loader.unfinished.with(|unfinished| {
            let idle = unfinished.iter().filter(|address| {
                let is_loading = loader.loads.with(|loads| loads.contains_key(*address));
                let is_told = loader
                    .problems
                    .with(|problems| problems.contains_key(&Some(address.to_string())));
                !is_loading && !is_told
            });
            idle.filter_map(|address| {
                let pair = loader.entry(address)?;
                (pair.begun && pair.state == PairState::Partial).then(|| {
                    let sentence = format!(
                        "“{}” was not finished. {}",
                        pair.name,
                        loading::state(&pair)
                    );
                    (address.clone(), sentence)
                })
            })
            .collect()
        })
    });
    let left_over = move |(address, sentence): (String, String)| {
        let forgotten = address.clone();
        view! {
            <p class="load-left">
                <span>{sentence}</span>
                <button
                    type="button"
                    data-testid="go-on-loading"
                    on:click=move |_| loader.load(address.clone(), false)
                >
                    "Go on"
                </button>
                <button
                    type="button"
                    class="inline"
                    on:click=move |_| loader.remember(&forgotten, false)
                >
                    "Not now"
                </button>
            </p>
        }
    };
    let done = move || {
        let address = loader.loaded.get()?;
        let sentence = format!(
            "“{}” is here. From now on it works without a network.",
            name(&address)
        );
        let is_other = current.with(|current| *current != address);
        Some(view! {
            <p class="load-done">
                <span>{sentence}</span>
                {is_other
                    .then(|| {
                        view! {
                            <button
                                type="button"
                                data-testid="use-loaded"
                                on:click=move |_| {
                                    loader.loaded.set(None);
                                    on_use.run(address.clone());
                                }
                            >
                                "Use it"
                            </button>
                        }
                    })}
                <button type="button" class="inline" on:click=move |_| loader.loaded.set(None)>
                    "Dismiss"
                </button>
            </p>
        })
    };
    view! {
        <div class="load-statuses">
            <For each=move || addresses.get() key=String::clone children=running />
            <div role="alert">{failed}</div>
            <For each=move || left.get() key=|left| left.clone() children=left_over />
            <div role="status" data-testid="load-done">
                {done}
            </div>
        </div>
    }
}
