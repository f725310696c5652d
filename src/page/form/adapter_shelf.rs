//! The adapters that change the models: those of the recipe with their strengths, those that this browser
//! has, and ways to bring others.

use leptos::html::Input;
use leptos::prelude::*;

use super::adapter_field::{AdapterField, focus_shelf};
use super::controls::{AxisKind, Controls};
use super::opened_files::opened_files;
use crate::page::workers::loader::LoaderClient;
use crate::protocol::engine::{AdapterChoice, PairInfo};
use crate::protocol::loader::{AdapterEntry, AdapterSource};
use crate::recipe::Mode;
use crate::recipe::adapters::{self, AdapterUse, MAXIMUM_ADAPTERS};
use crate::recipe::pair_address::beside;
use crate::recipe::parameters::place;
use crate::view::units;

/// What files are adapters, for the browser's dialog.
const ENDINGS: &str = ".safetensors,.pt,.bin,.ckpt";

/// The shelf. Its list of stored adapters is asked for when it is first opened.
#[component]
pub fn AdapterShelf(
    controls: Controls,
    loader: LoaderClient,
    #[prop(into)] pair: Signal<Option<PairInfo>>,
    #[prop(into)] pair_address: Signal<String>,
    /// The visitor has moved a strength and wants to see what it does.
    on_move: Callback<()>,
    on_generate: Callback<()>,
) -> impl IntoView {
    let text = controls.text(place::ADAPTERS);
    let used = Memo::new(move |_| text.with(|text| adapters::parse(text).unwrap_or_default()));
    let change =
        Callback::new(move |adapters: Vec<AdapterUse>| text.set(adapters::spell(&adapters)));
    let put_on = move |adapter: AdapterUse| {
        let mut all = used.get_untracked();
        if all.iter().any(|it| it.hash == adapter.hash) {
            return;
        }
        if all.len() < MAXIMUM_ADAPTERS {
            all.push(adapter);
            change.run(all);
        } else {
            loader.adapter_problem.set(Some(format!(
                "{MAXIMUM_ADAPTERS} adapters act at once at most: take one off first. “{}” is in the \
                 list.",
                adapter.name
            )));
        }
    };
    // The strength that a bundled adapter is shown with, until it has been stored.
    let wanted_strength = StoredValue::new(None::<f32>);
    Effect::new(move |_| {
        // The pair's defaults would replace what came before them.
        let is_ready = pair.with(Option::is_some);
        if let Some(added) = loader.added_adapter.get().filter(|_| is_ready) {
            loader.added_adapter.set(None);
            let strength = wanted_strength.get_value().unwrap_or(1.0);
            wanted_strength.set_value(None);
            put_on(AdapterUse {
                strength,
                ..AdapterUse::new(&added.hash, &added.name)
            });
        }
    });

    let is_open = RwSignal::new(false);
    // What a link brings stands open.
    Effect::new(move |_| {
        if used.with(|used| !used.is_empty()) {
            is_open.set(true);
        }
    });
    Effect::new(move |_| {
        if is_open.get() && loader.library.with_untracked(Option::is_none) {
            loader.list();
        }
    });
    let stored = Memo::new(move |_| {
        let library = loader.library.get();
        library.map(|library| library.adapters)
    });
    let redraws = RwSignal::new(false);
    let moved = Callback::new(move |()| {
        if redraws.get_untracked() {
            on_move.run(());
        }
    });

    // The first adapter without and with its strength, on the chosen rows or on all of them.
    let compare = move |modes: Option<&[Mode]>| {
        let Some(first) = used.get_untracked().into_iter().next() else {
            return;
        };
        let strength = if first.strength == 0.0 {
            1.0
        } else {
            first.strength
        };
        if let Some(modes) = modes {
            controls.modes.set(modes.to_vec());
        }
        controls.axis_kind.set(AxisKind::AdapterStrength);
        controls.adapter_strengths.set(format!("0, {strength}"));
        on_generate.run(());
    };

    let fields = move || {
        let hashes = Memo::new(move |_| {
            let hashes = used.get().into_iter().map(|it| it.hash);
            hashes.collect::<Vec<_>>()
        });
        view! {
            <For each=move || hashes.get() key=String::clone let:hash>
                <AdapterField hash=hash used=used stored=stored on_change=change on_move=moved />
            </For>
        }
    };
    // The prompt of an adapter that was put on, where the visitor's own stayed.
    let hint = RwSignal::new(None::<String>);
    let is_of_page = move |prompt: &str| {
        pair.with_untracked(|pair| {
            let Some(pair) = pair else { return false };
            let of_adapters = pair.adapters.iter().map(|it| &it.prompt);
            let mut known = of_adapters
                .chain(&pair.example_prompts)
                .chain([&pair.recipe.prompt]);
            known.any(|known| known.trim() == prompt)
        })
    };
    let hinted = move || {
        hint.get().map(|prompt| {
            let words = format!("Its own example is “{prompt}”. ");
            let take = move |_| {
                controls.prompt().set(prompt.clone());
                hint.set(None);
            };
            view! {
                <p class="help" role="status">
                    {words}
                    <button type="button" class="inline" data-testid="adapter-prompt" on:click=take>
                        "Take it as the prompt"
                    </button>
                </p>
            }
        })
    };
    let bundled = move || {
        let choices = pair.with(|pair| Some(pair.as_ref()?.adapters.clone()));
        let choices = choices.unwrap_or_default().into_iter();
        choices
            .map(|choice| {
                let AdapterChoice {
                    path,
                    title,
                    description,
                    prompt,
                    strength,
                } = choice;
                let name = title.clone();
                let add = move |_| {
                    wanted_strength.set_value(Some(strength));
                    let own = controls.prompt().get_untracked();
                    let own = own.trim();
                    // What the visitor has written stays.
                    let is_written = !own.is_empty() && !is_of_page(own);
                    hint.set(is_written.then(|| prompt.clone()));
                    if !is_written {
                        controls.prompt().set(prompt.clone());
                    }
                    let path = beside(&pair_address.get_untracked(), &path);
                    loader.add_adapter(AdapterSource::Bundled(path, name.clone()));
                };
                view! {
                    <button type="button" class="chip" title=description data-testid="bundled-adapter" on:click=add>
                        {title}
                    </button>
                }
            })
            .collect_view()
    };
    let shelf = move || {
        let entries = stored.get().unwrap_or_default().into_iter();
        let unused = entries.filter(|entry| {
            used.with(|used| used.iter().all(|adapter| adapter.hash != entry.hash))
        });
        unused
            .map(|entry| view! { <ShelfEntry entry=entry loader=loader on_put=Callback::new(put_on) /> })
            .collect_view()
    };

    let address = RwSignal::new(String::new());
    let add_typed = move || {
        let text = address.get_untracked().trim().to_owned();
        if !text.is_empty() {
            address.set(String::new());
            loader.add_adapter(AdapterSource::Typed(text));
        }
    };
    let file_field = NodeRef::<Input>::new();
    let choose = move |_| {
        let Some(field) = file_field.get_untracked() else {
            return;
        };
        let files = field.files().map(|files| opened_files(&files));
        // So that the same file can be chosen again.
        field.set_value("");
        if let Some(file) = files.and_then(|files| files.into_iter().next()) {
            loader.add_adapter(AdapterSource::Disk(file));
        }
    };
    let state = move || {
        if loader.is_adding_adapter.get() {
            Some("Reading the file…".to_owned())
        } else {
            loader.adapter_problem.get()
        }
    };
    view! {
        <details
            class="adapters"
            data-testid="adapters"
            prop:open=is_open
            on:toggle=move |event| {
                let details: web_sys::HtmlDetailsElement = event_target(&event);
                is_open.set(details.open());
            }
        >
            <summary>"Adapters"</summary>
            <p class="help">
                "LoRAs and Concept Sliders that were trained on the base act on the distilled model, too, and the other way round."
            </p>
            {fields}
            <div class="toggles" hidden=move || used.with(Vec::is_empty)>
                <label class="toggle">
                    <input
                        type="checkbox"
                        data-testid="redraws"
                        prop:checked=redraws
                        on:change=move |event| redraws.set(event_target_checked(&event))
                    />
                    <span>"Draw anew when a strength is moved"</span>
                </label>
            </div>
            <div class="adapter-views" hidden=move || used.with(Vec::is_empty)>
                <button
                    type="button"
                    data-testid="before-after"
                    title="Each chosen row without the first adapter and with it"
                    on:click=move |_| compare(None)
                >
                    "Before and after"
                </button>
                <button
                    type="button"
                    data-testid="transfer"
                    title="The first adapter on the base, the distilled model, the hybrid and skip-first-step, each without and with it"
                    on:click=move |_| compare(Some(&Mode::OF_THE_PAPER))
                >
                    "Show the transfer"
                </button>
            </div>
            <div class="chips">{bundled}</div>
            {hinted}
            <ul class="shelf">{shelf}</ul>
            <div class="add-adapter">
                <label for="adapter-address">"Bring one"</label>
                <input
                    id="adapter-address"
                    data-testid="adapter-address"
                    type="text"
                    placeholder="owner/name, or https://…"
                    autocomplete="off"
                    prop:value=address
                    on:input=move |event| address.set(event_target_value(&event))
                    on:keydown=move |event| {
                        if event.key() == "Enter" {
                            // The form around it would draw.
                            event.prevent_default();
                            add_typed();
                        }
                    }
                />
                <button type="button" data-testid="add-adapter" on:click=move |_| add_typed()>
                    "Add"
                </button>
            </div>
            <label class="file-button">
                <input node_ref=file_field type="file" accept=ENDINGS data-testid="adapter-file" on:change=choose />
                <span>"Open a file…"</span>
            </label>
            <p class="help" role="status" data-testid="adapter-state">
                {state}
            </p>
        </details>
    }
}

/// An adapter that this browser has and the recipe has not.
#[component]
fn ShelfEntry(
    entry: AdapterEntry,
    loader: LoaderClient,
    on_put: Callback<AdapterUse>,
) -> impl IntoView {
    let AdapterEntry {
        hash,
        name,
        description,
        stored,
    } = entry;
    let used = AdapterUse::new(&hash, &name);
    let label = format!("Delete {name} from this browser");
    view! {
        <li data-testid="shelf-entry">
            <span class="shelf-name">{name}</span>
            <span class="help" title=description>{units::size(stored)}</span>
            <button type="button" data-testid="use-adapter" on:click=move |_| on_put.run(used.clone())>
                "Use"
            </button>
            <button
                type="button"
                aria-label=label
                data-testid="delete-adapter"
                on:click=move |event| {
                    focus_shelf(&event);
                    loader.delete_adapter(hash.clone());
                }
            >
                "Delete"
            </button>
        </li>
    }
}
