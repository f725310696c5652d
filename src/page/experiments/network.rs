//! The network that an experiment's pictures are measured by, with its load.

use leptos::prelude::*;

use super::runner::Experiments;
use crate::page::library::pair_load::LoadBar;
use crate::page::library::preflight_view::licence_view;
use crate::protocol::loader::{NetworkEntry, PairState};
use crate::view::{loading, units};

/// The value of the choice without a network.
const STRUCTURAL: &str = "structural";

/// The choice of a network; what is chosen is loaded here.
#[component]
pub fn NetworkField(experiments: Experiments) -> impl IntoView {
    let loader = experiments.loader;
    let network = experiments.network;
    Effect::new(move |_| loader.list_networks(Vec::new()));
    let chosen = Memo::new(move |_| network.get().and_then(|address| loader.network(&address)));
    // The one that comes with the page is small, and its licence is the page's own.
    Effect::new(move |_| {
        let is_due = chosen.with(|chosen| {
            chosen.as_ref().is_some_and(|it| {
                it.state != PairState::Complete && is_small(it) && it.licences.is_empty()
            })
        });
        let address = network.get_untracked();
        if let Some(address) = address.filter(|_| is_due)
            && untrack(|| load_of(experiments, &address)).is_none()
            && problem_of(experiments, &address).is_none()
        {
            loader.load(address, false);
        }
    });
    // One that was chosen before a reload may have been deleted since.
    Effect::new(move |_| {
        let is_listed = loader.networks.with(Option::is_some);
        if is_listed && network.with(Option::is_some) && chosen.with(Option::is_none) {
            network.set(None);
        }
    });
    let options = move || {
        let entries = loader.networks.get().unwrap_or_default();
        entries
            .into_iter()
            .map(|entry| {
                let address = entry.address.clone();
                view! {
                    <option
                        value=entry.address
                        selected=move || network.with(|it| it.as_ref() == Some(&address))
                    >
                        {entry.name}
                    </option>
                }
            })
            .collect_view()
    };
    let typed = RwSignal::new(String::new());
    let added = RwSignal::new(None::<String>);
    let add = move || {
        let address = on_page(typed.get_untracked().trim());
        if !address.is_empty() {
            added.set(Some(address.clone()));
            loader.list_networks(vec![address]);
        }
    };
    // What was typed is chosen once it is found to be a network.
    Effect::new(move |_| {
        let found = added.get().filter(|it| loader.network(it).is_some());
        if found.is_some() {
            added.set(None);
            typed.set(String::new());
            network.set(found);
        }
    });
    let problem = move || {
        let addresses = [added.get(), network.get()];
        let mut addresses = addresses.into_iter().flatten();
        addresses.find_map(|address| problem_of(experiments, &address))
    };
    view! {
        <div class="field">
            <label for="experiment-network">"Measured by"</label>
            <select
                id="experiment-network"
                data-testid="experiment-network"
                aria-describedby="experiment-network-help"
                prop:value=move || network.get().unwrap_or_else(|| STRUCTURAL.to_owned())
                on:change=move |event| {
                    let value = event_target_value(&event);
                    network.set((value != STRUCTURAL).then_some(value));
                }
            >
                <option value=STRUCTURAL>"Structure alone (no network)"</option>
                {options}
            </select>
            <p id="experiment-network-help" class="help">
                {move || match chosen.get() {
                    Some(entry) => entry.description,
                    None => {
                        "Structural dissimilarity is always measured: a proxy, not DreamSim. A network measures beside it once all pictures are there."
                            .to_owned()
                    }
                }}
            </p>
            {move || chosen.get().map(|entry| view! { <NetworkLoad experiments=experiments entry=entry /> })}
            <div role="alert">
                {move || {
                    problem()
                        .map(|sentence| {
                            view! {
                                <p class="problem" data-testid="network-problem">
                                    {sentence}
                                </p>
                            }
                        })
                }}
            </div>
            <details>
                <summary>"A network at another address…"</summary>
                <label for="network-address">"Address of its manifest"</label>
                <input
                    id="network-address"
                    data-testid="network-address"
                    type="url"
                    placeholder="https://…/manifest.json"
                    prop:value=move || typed.get()
                    on:input=move |event| typed.set(event_target_value(&event))
                    on:keydown=move |event| {
                        if event.key() == "Enter" {
                            // Not the experiment's start.
                            event.prevent_default();
                            add();
                        }
                    }
                />
                <button type="button" data-testid="network-add" on:click=move |_| add()>
                    "Add"
                </button>
                <p class="help">
                    "DreamSim's files are published in an archive that a page may not read: tools/perceptual/dreamsim.py makes a folder of them, which any static host can serve."
                </p>
            </details>
        </div>
    }
}

/// How far the chosen network is here, and its load.
#[component]
fn NetworkLoad(experiments: Experiments, entry: NetworkEntry) -> impl IntoView {
    let loader = experiments.loader;
    let accepted = RwSignal::new(vec![false; entry.licences.len()]);
    let address = StoredValue::new(entry.address.clone());
    let load = Memo::new(move |_| load_of(experiments, &address.get_value()));
    let is_loading = Memo::new(move |_| load.with(Option::is_some));
    let is_accepted = move || accepted.with(|all| all.iter().all(|it| *it));
    let size = match entry.missing.or(entry.download_size) {
        Some(bytes) => format!(" ({})", units::size(bytes)),
        None => String::new(),
    };
    let label = match entry.state {
        PairState::Partial => format!("Go on loading{size}"),
        _ => format!("Load{size}"),
    };
    let stored = (entry.stored > 0).then(|| {
        let words = format!("{} stored. ", units::size(entry.stored));
        view! {
            {words}
            <button
                type="button"
                class="inline"
                data-testid="network-delete"
                on:click=move |_| {
                    experiments.network.set(None);
                    loader.delete(address.get_value());
                }
            >
                "Delete it from this browser"
            </button>
        }
    });
    let licences = StoredValue::new(entry.licences.clone());
    let words = match (entry.state, entry.is_whole) {
        (PairState::Complete, true) => format!("It is here. Licence: {}. ", entry.licence),
        (_, true) => format!("Licence: {}. ", entry.licence),
        (_, false) => {
            "A part of it is published nowhere that a page may read from: make a folder of it, and give the address below. "
                .to_owned()
        }
    };
    let can_load = entry.is_whole && entry.state != PairState::Complete;
    view! {
        <p class="help" data-testid="network-state">{words} {stored}</p>
        {move || {
            (can_load && !is_loading.get())
                .then(|| {
                    view! {
                        {licences
                            .get_value()
                            .into_iter()
                            .enumerate()
                            .map(|(index, licence)| licence_view(index, licence, accepted))
                            .collect_view()}
                        <button
                            type="button"
                            data-testid="network-load"
                            disabled=move || !is_accepted()
                            on:click=move |_| loader.load(address.get_value(), true)
                        >
                            {label.clone()}
                        </button>
                    }
                })
        }}
        {move || {
            is_loading
                .get()
                .then(|| {
                    view! {
                        <p class="help" data-testid="network-progress">
                            {move || load.with(|load| load.as_ref().map(loading::progress))}
                        </p>
                        <LoadBar load=load />
                        <button
                            type="button"
                            data-testid="network-pause"
                            on:click=move |_| loader.pause(address.get_value())
                        >
                            "Pause"
                        </button>
                    }
                })
        }}
    }
}

/// An address as the loader lists it: relative to the page, where it is below the page's folder.
fn on_page(address: &str) -> String {
    let folder = document().base_uri().ok().flatten();
    let folder = folder.and_then(|base| web_sys::Url::new_with_base(".", &base).ok());
    let folder = folder.map(|folder| folder.href()).unwrap_or_default();
    address.strip_prefix(&folder).unwrap_or(address).to_owned()
}

/// Whether it is loaded without a question.
fn is_small(entry: &NetworkEntry) -> bool {
    entry.download_size.is_some_and(|size| size < 8_000_000)
}

fn load_of(
    experiments: Experiments,
    address: &str,
) -> Option<crate::protocol::loader::LoadProgress> {
    experiments
        .loader
        .loads
        .with(|loads| loads.get(address).cloned())
}

fn problem_of(experiments: Experiments, address: &str) -> Option<String> {
    experiments.loader.problems.with(|problems| {
        let problem = problems.get(&Some(address.to_owned()))?;
        Some(problem.sentence.clone())
    })
}
