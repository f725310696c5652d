//! What to compare, with which prompts and how often, and what that takes.

use std::sync::Arc;

use leptos::html::Input;
use leptos::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::fields::{Modes, PromptsField, SelectStudy, ValuesField};
use super::focus::focus_soon;
use super::held::ExperimentForm;
use super::network::NetworkField;
use super::progress::PROGRESS;
use super::runner::Experiments;
use crate::page::form::controls::Controls;
use crate::page::form::number_field::NumberField;
use crate::page::form::pair_field::{Choice, PairField};
use crate::page::form::wrong_field;
use crate::page::width::grid_is_beside;
use crate::page::workers::token_counts::keep_counted;
use crate::protocol::engine::DeviceKind;
use crate::recipe::Recipe;
use crate::recipe::bounds::SEED;
use crate::recipe::excerpt::excerpt;
use crate::recipe::experiment::IMAGES;
use crate::view::experiments::estimate;
use crate::view::experiments::input::field;
use crate::view::experiments::prompt_notes::prompt_notes;
use crate::view::units;
use crate::vocabulary::Lookup;

/// The largest table that is read, in bytes.
const MAXIMUM_TABLE_BYTES: f64 = 16e6;

/// The form, with what the experiment takes.
#[component]
pub fn FormView(
    experiments: Experiments,
    form: ExperimentForm,
    controls: Controls,
    #[prop(into)] pair_choices: Signal<Vec<Choice>>,
    #[prop(into)] example_prompts: Signal<Vec<String>>,
    #[prop(into)] lookup: Signal<Option<Arc<Lookup>>>,
    on_choose_pair: Callback<String>,
) -> impl IntoView {
    let engine = experiments.engine;
    Effect::new(move |_| {
        if let Some(experiment) = experiments.filled.get() {
            experiments.filled.update_untracked(|filled| *filled = None);
            form.fill(experiment);
        }
    });
    if form.prompts.with_untracked(String::is_empty) {
        form.prompts.set(controls.prompt().get_untracked());
    }
    let memory = memory_of(experiments);
    let spelled = Memo::new(move |_| form.experiment(experiments, controls));
    // As they will be read; none while they are for another pair.
    let prompts = Memo::new(move |_| {
        spelled
            .with(|spelled| {
                let experiment = spelled.as_ref().ok()?;
                (experiment.pair == engine.pair_address.get()).then(|| {
                    let read = |text: &String| experiment.settings.read_prompt(text);
                    experiment.prompts.iter().map(read).collect::<Vec<_>>()
                })
            })
            .unwrap_or_default()
    });
    let counts = keep_counted(move || [prompts.get()], engine);
    let notes = Memo::new(move |_| {
        let [counts] = counts.get();
        let lookup = lookup.get();
        prompts.with(|prompts| prompt_notes(prompts, &counts, lookup.as_deref()))
    });
    // A field that is mended is no longer marked.
    Effect::new(move |_| {
        let spelled = spelled.get();
        if form.wrong.with_untracked(Option::is_some) {
            form.wrong.set(spelled.err());
        }
    });
    let start = move || match spelled.get_untracked() {
        Ok(experiment) => {
            form.wrong.set(None);
            experiments.start(experiment);
            reveal_results();
            focus_soon(PROGRESS);
        }
        Err(wrong) => {
            let field = wrong.field.clone();
            form.wrong.set(Some(wrong));
            wrong_field::focus(&field);
        }
    };
    let size = move || {
        let own = spelled.with(|it| it.as_ref().ok().and_then(|it| it.settings.size));
        engine.pair.with(|pair| {
            let size = pair.as_ref()?.sizes.drawn(own).ok()?;
            Some((size.width, size.height))
        })
    };
    let takes = move || {
        spelled.with(|spelled| match spelled {
            Ok(experiment) => {
                let times = experiments.times.get();
                let size = size().unwrap_or((1024, 1024));
                estimate::words(experiment, &times, size, memory.get())
            }
            Err(wrong) => wrong.sentence.clone(),
        })
    };
    let settings = move || {
        let recipe = match form.opened.get() {
            Some(opened) => opened.settings.clone(),
            None => controls.recipe().ok()?,
        };
        Some(settings_words(&recipe))
    };
    let other_pair = move || {
        let opened = form.opened.get()?;
        (engine.pair_address.get() != opened.pair).then(|| {
            format!(
                "It is of the pair {}: starting it changes the page to that.",
                opened.pair
            )
        })
    };
    let choose_table = NodeRef::<Input>::new();
    let table_chosen = move |_| {
        let Some(input) = choose_table.get_untracked() else {
            return;
        };
        let file = input.files().and_then(|files| files.get(0));
        // So that the same file can be chosen again.
        input.set_value("");
        let Some(file) = file else { return };
        spawn_local(async move {
            let name = file.name();
            let read = async {
                if file.size() > MAXIMUM_TABLE_BYTES {
                    return Err(format!(
                        "“{name}” has more than {:.0} MB: choose a table of prompts.",
                        MAXIMUM_TABLE_BYTES / 1e6
                    ));
                }
                let text = JsFuture::from(file.text()).await.ok();
                let text = text.and_then(|text| text.as_string());
                text.ok_or_else(|| {
                    format!("“{name}” can't be read: it may have been moved or deleted.")
                })
            };
            let taken = read.await.and_then(|text| {
                if name.to_ascii_lowercase().ends_with(".json") {
                    return if experiments.open_text(text) {
                        Ok(())
                    } else {
                        Err(format!(
                            "“{name}” holds no experiment and no results of one."
                        ))
                    };
                }
                form.take_table(&text)
            });
            experiments.problem.set(taken.err());
        });
    };
    let is_running = move || experiments.is_running();
    view! {
        <form
            class="stack"
            aria-label="Experiment"
            novalidate
            autocomplete="off"
            on:submit=move |event| {
                event.prevent_default();
                start();
            }
        >
            <SelectStudy form=form />
            <ValuesField form=form />
            {move || {
                form.opened
                    .with(Option::is_none)
                    .then(|| {
                        view! {
                            <PairField
                                choices=pair_choices
                                current=engine.pair_address
                                on_choose=on_choose_pair
                            />
                        }
                    })
            }}
            <PromptsField form=form example_prompts=example_prompts notes=notes />
            <label class="file-button">
                <input
                    node_ref=choose_table
                    type="file"
                    accept=".csv,.json,text/csv,application/json"
                    data-testid="experiment-open"
                    on:change=table_chosen
                />
                <span>"Open prompts (CSV) or results (JSON)…"</span>
            </label>
            <div class="field-pair">
                <NumberField
                    label="Images per prompt"
                    handle=field::IMAGES
                    value=form.images
                    bounds=IMAGES
                    step="1"
                />
                <NumberField
                    label="First seed"
                    handle=field::SEED
                    value=form.seed
                    bounds=SEED
                    step="1"
                />
            </div>
            <Modes form=form />
            <NetworkField experiments=experiments />
            <p class="help" data-testid="experiment-settings">
                {move || {
                    let of = if form.opened.with(Option::is_some) {
                        "Models and settings are those of the experiment that was opened: "
                    } else {
                        "Everything else is as in the form of the pictures: "
                    };
                    settings().map(|words| format!("{of}{words}"))
                }}
                {other_pair}
                {move || {
                    form.opened
                        .with(Option::is_some)
                        .then(|| {
                            view! {
                                " "
                                <button
                                    type="button"
                                    class="inline"
                                    on:click=move |_| form.opened.set(None)
                                >
                                    "Use those of the page"
                                </button>
                            }
                        })
                }}
            </p>
            <p class="experiment-takes" data-testid="experiment-estimate">
                {takes}
            </p>
            <button
                type="submit"
                class="primary"
                data-testid="experiment-start"
                disabled=is_running
            >
                "Start the experiment"
            </button>
        </form>
    }
}

/// Where what is found stands below the form, the page scrolls to it.
pub(super) fn reveal_results() {
    let results = document().query_selector(".experiment-results");
    if !grid_is_beside()
        && let Ok(Some(results)) = results
    {
        results.scroll_into_view();
    }
}

/// Bytes of GPU memory of the page's pair, asked for when the view opens; none on the CPU, and until they
/// are known.
fn memory_of(experiments: Experiments) -> Signal<Option<u64>> {
    let Experiments { engine, loader, .. } = experiments;
    let known = RwSignal::new(None::<(String, u64)>);
    // What was asked for under Models is not touched.
    let asked = StoredValue::new(None::<String>);
    Effect::new(move |_| {
        let has_gpu = engine.device.with(|device| {
            let kind = device.as_ref().map(|device| device.kind);
            kind == Some(DeviceKind::WebGpu)
        });
        let address = engine.pair_address.get();
        if has_gpu && engine.pair.with(Option::is_some) {
            asked.set_value(Some(address.clone()));
            loader.check(address);
        }
    });
    Effect::new(move |_| {
        let checked = loader.preflight.with(|open| {
            let open = open.as_ref()?;
            let checked = open.preflight.as_ref()?;
            let memory = checked.gpu_weights + checked.gpu_activations;
            Some((open.address.clone(), memory))
        });
        if let Some(checked) = checked
            && asked.get_value().as_ref() == Some(&checked.0)
        {
            asked.set_value(None);
            known.set(Some(checked));
            loader.dismiss_preflight();
        }
    });
    Signal::derive(move || {
        let address = engine.pair_address.get();
        known.with(|known| {
            let (of, memory) = known.as_ref()?;
            (*of == address).then_some(*memory)
        })
    })
}

/// The settings that have no field here, in words.
fn settings_words(recipe: &Recipe) -> String {
    let mut words = format!(
        "base {} at guidance {}, distilled {} at guidance {}, k {}, {} per replaced step at guidance {}",
        units::count(recipe.base_steps as usize, "step", "steps"),
        recipe.base_guidance,
        units::count(recipe.distilled_steps as usize, "step", "steps"),
        recipe.distilled_guidance,
        recipe.k,
        units::count(recipe.hybrid_base_steps as usize, "base step", "base steps"),
        recipe.hybrid_base_guidance
    );
    if let Some(size) = recipe.size {
        words += &format!(", {size} pixels");
    }
    let schedulers = [
        ("base", recipe.base_scheduler),
        ("distilled", recipe.distilled_scheduler),
    ];
    for (model, scheduler) in schedulers {
        if let Some(scheduler) = scheduler {
            words += &format!(", the {model} model's scheduler {}", scheduler.label());
        }
    }
    if !recipe.negative_prompt.is_empty() {
        words += &format!(", negative prompt “{}”", excerpt(&recipe.negative_prompt));
    }
    if recipe.long_prompts {
        words += ", long prompts";
    }
    if recipe.weighted_prompt {
        words += ", weighted prompts";
    }
    for adapter in &recipe.adapters {
        let name = excerpt(&adapter.name);
        words += &format!(", adapter {name} × {}", adapter.strength);
    }
    words + "."
}
