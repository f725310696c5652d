//! The page: leptos components, one per file, and their signals.
//!
//! Only this folder touches the DOM. Only `workers` talks to the two workers, and only
//! `shell::address` to the page's address; the components take signals and call callbacks, and none of
//! them fetches, stores or computes. The folder knows nothing of tensors, weights and IndexedDB.

#![expect(
    clippy::needless_pass_by_value,
    reason = "a component owns its props: what leptos makes of it moves them"
)]

mod experiments;
mod form;
mod grid;
mod history;
mod library;
mod shell;
mod strip;
mod width;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use experiments::{ExperimentForm, Experiments, ExperimentsView};
use form::actions::Actions;
use form::adapter_shelf::AdapterShelf;
use form::axis_field::AxisField;
use form::controls::Controls;
use form::example_prompts::ExamplePrompts;
use form::known_words::KnownWords;
use form::mode_toggles::ModeToggles;
use form::open_picture::OpenPicture;
use form::pair_field::{Choice, PairField};
use form::prompt_fields::PromptFields;
use form::seed_fields::SeedFields;
use form::settings::Settings;
use form::size_field::SizeField;
use grid::examples::Example;
use history::History;
use library::{LibraryDialog, LoadStatus, ModelsButton, Panel};
use shell::footer::PageFooter;
use shell::header::PageHeader;
use shell::results::Results;
use shell::stats_panel::StatsPanel;
use shell::status::Status;
use shell::update_offer::UpdateOffer;
use width::grid_is_beside;
use workers::engine::EngineClient;
use workers::loader::LoaderClient;
use workers::token_counts::keep_counted;

use crate::browser::opened_file::OpenedFile;
use crate::history::Request;
use crate::protocol::engine::{Extent, PairChoice, Task, TaskEvent};
use crate::protocol::loader::{AdapterSource, PairSource};
use crate::recipe::PromptReading;
use crate::recipe::foreign::read_parameters::ReadParameters;
use crate::recipe::pair_address::beside;
use crate::recipe::parameters::{OWN_SIZE, place, word_of};
use crate::recipe::taken_over::TakenOver;
use crate::view::address::{OWN_PAIR_ADDRESS, SharedRun};
use crate::view::wrong_field::WrongField;
use crate::vocabulary::Lookup;

/// How long a strength has to rest before it is drawn.
const MOVE_PAUSE: Duration = Duration::from_millis(200);

/// Whether a dialog is open.
fn dialog_is_open() -> bool {
    matches!(document().query_selector("dialog[open]"), Ok(Some(_)))
}

/// Whether a pair lies in the folder of the page's own pair, so that it is drawn with without a question.
fn is_with_the_page(address: &str) -> bool {
    address.starts_with(&beside(OWN_PAIR_ADDRESS, ""))
}

/// The whole page: wires the controls, the address and the engine to the components.
#[component]
pub fn App() -> impl IntoView {
    let controls = Controls::new();
    let loader = LoaderClient::new(
        Signal::derive(move || controls.size()),
        Signal::derive(move || controls.adapter_hashes()),
    );
    let engine = EngineClient::new(loader);
    let models = Panel::new(loader);
    // Sentences about the visitor's input: the link and the recipe.
    let notices = RwSignal::new(Vec::<String>::new());
    // What was done with a file that was opened, where nothing is wrong.
    let told = RwSignal::new(None::<String>);
    // The run that the page's link was copied from.
    let shared_run = RwSignal::new(None::<SharedRun>);
    // The last link to an experiment that was followed.
    let experiment_link = RwSignal::new(None::<String>);
    let address_actions =
        shell::address::keep_in_sync(controls, engine, notices, shared_run, experiment_link);
    let experiments = Experiments::new(engine, loader, address_actions.choose_pair);
    let experiment_form = ExperimentForm::new();
    Effect::new(move |_| match experiment_link.get() {
        Some(link) => experiments.open_link(&link),
        None => experiments.is_open.set(false),
    });

    // Whether the page scrolls to the grid when the next job begins: only after the visitor has
    // asked for that job, never while they type the next prompt.
    let shows_results = StoredValue::new(false);
    let results = NodeRef::<leptos::html::Section>::new();
    Effect::new(move |_| {
        if engine.grid.with(Option::is_some) && shows_results.get_value() {
            shows_results.set_value(false);
            // By the next frame the grid is laid out.
            request_animation_frame(move || {
                if let Some(results) = results.get_untracked() {
                    results.scroll_into_view();
                }
            });
        }
    });
    // On a narrow page the sentences stand below the whole form.
    let reveal = move || {
        if !grid_is_beside()
            && let Some(results) = results.get_untracked()
        {
            results.scroll_into_view();
        }
    };
    // Said in the status, which is read out, and at the field, which takes the focus.
    let refuse = move |wrong: WrongField| {
        notices.set(vec![wrong.sentence.clone()]);
        let field = wrong.field.clone();
        controls.wrong.set(Some(wrong));
        form::wrong_field::focus(&field);
    };
    let draw = Callback::new(move |extent: Extent| match controls.recipe_untracked() {
        Ok(recipe) => {
            let sizes = engine
                .pair
                .with_untracked(|pair| Some(pair.as_ref()?.sizes));
            if let Some(Err(error)) = sizes.map(|sizes| sizes.drawn(recipe.size)) {
                refuse(WrongField {
                    field: "size".to_owned(),
                    sentence: error.to_string(),
                });
                return;
            }
            notices.set(Vec::new());
            told.set(None);
            shows_results.set_value(!grid_is_beside());
            engine.generate(recipe, extent);
        }
        Err(error) => refuse(error.wrong_field()),
    });
    // A field that is mended is no longer marked; another one may be wrong then.
    Effect::new(move |_| {
        let recipe = controls.recipe();
        if let Some(before) = controls.wrong.get_untracked() {
            let wrong = recipe.err().map(|error| error.wrong_field());
            // Another sentence, such as what was taken over of a picture, stays.
            if notices.with_untracked(|notices| *notices == [before.sentence]) {
                notices.set(wrong.iter().map(|wrong| wrong.sentence.clone()).collect());
            }
            controls.wrong.set(wrong);
        }
    });
    let generate_what_is_here = move |extent: Extent| {
        // Until the pair's defaults have come there is no recipe.
        if engine.pair.with_untracked(Option::is_some) {
            draw.run(extent);
        } else {
            engine.when_ready(draw, extent);
            reveal();
        }
    };
    // The visitor sees the pre-flight and accepts the licences before a pair is downloaded.
    let generate_as_far = move |extent: Extent| {
        let address = engine.pair_address.get_untracked();
        if is_with_the_page(&address) {
            generate_what_is_here(extent);
            return;
        }
        loader.when_listed(move || {
            if untrack(|| loader.lacks(&address)) {
                models.open_at(address);
            } else {
                generate_what_is_here(extent);
            }
        });
    };
    // The visitor who opened a link to such a pair will soon generate: the list is fetched early.
    Effect::new(move |_| {
        if engine
            .pair_address
            .with(|address| !is_with_the_page(address))
        {
            loader.when_listed(|| {});
        }
    });
    let generate = Callback::new(move |()| generate_as_far(Extent::default()));
    let first_look = Callback::new(move |()| {
        generate_as_far(Extent {
            depth: Some(1),
            ..Extent::default()
        });
    });
    let example = Callback::new(move |example: Example| {
        if let Some(defaults) = engine
            .pair
            .with_untracked(|pair| pair.as_ref().map(|pair| pair.recipe.clone()))
        {
            let mut recipe = example.applied_to(&defaults);
            controls.prompt().with_untracked(|prompt| {
                if !prompt.trim().is_empty() {
                    recipe.prompt.clone_from(prompt);
                }
            });
            controls.fill(recipe);
            generate.run(());
        }
    });
    let cancel = Callback::new(move |()| engine.cancel());
    let go_on = Callback::new(move |()| {
        let pair = engine
            .problem
            .with_untracked(|problem| problem.as_ref().and_then(|problem| problem.pair.clone()));
        match pair {
            Some(pair) => address_actions.choose_pair.run(pair),
            None => engine.go_on(),
        }
    });

    let escape = window_event_listener(leptos::ev::keydown, move |event| {
        // An open list of suggestions uses the key itself, and so does a dialog, with the focus or
        // without.
        let is_taken = event.default_prevented() || dialog_is_open();
        if event.key() == "Escape" && !event.is_composing() && !is_taken {
            engine.cancel();
        }
    });
    on_cleanup(move || escape.remove());

    shell::leaving::ask_before(engine);

    let history_problem = RwSignal::new(None::<String>);
    let ask_history = Callback::new(move |request: Request| {
        history_problem.set(None);
        let reply = move |event| {
            if let TaskEvent::Failed { message } = event {
                history_problem.set(Some(message));
            }
        };
        engine.run_task(Task::History(request), reply);
    });
    let show_problem = Callback::new(move |sentence: String| {
        // The pictures' own place for it is hidden behind the experiments.
        if experiments.is_open.get_untracked() {
            experiments.problem.set(Some(sentence));
        } else {
            notices.set(vec![sentence]);
            reveal();
        }
    });
    let take_over = Callback::new(move |read: ReadParameters| {
        let mut taken = TakenOver::of(&read);
        let sizes = engine
            .pair
            .with_untracked(|pair| Some(pair.as_ref()?.sizes));
        if let Some(sizes) = sizes {
            taken = taken.where_drawn_are(&read, sizes);
        }
        let size = taken.size.map(|size| match sizes {
            Some(sizes) if sizes.own == size => OWN_SIZE.to_owned(),
            _ => size.key(),
        });
        let choice = |is_on: fn(PromptReading) -> bool| {
            let choice = taken.reading.map(|reading| word_of(is_on(reading)));
            choice.map(str::to_owned)
        };
        let texts = [
            (place::PROMPT, taken.prompt),
            (place::NEGATIVE_PROMPT, taken.negative_prompt),
            (place::LONG_PROMPTS, choice(|reading| reading.long)),
            (place::WEIGHTED_PROMPT, choice(|reading| reading.weighted)),
            (place::SIZE, size),
            (place::SEED, taken.seed.map(|seed| seed.to_string())),
            (
                place::BASE_STEPS,
                taken.base_steps.map(|steps| steps.to_string()),
            ),
            (
                place::BASE_GUIDANCE,
                taken.base_guidance.map(|scale| scale.to_string()),
            ),
            (
                place::BASE_SCHEDULER,
                taken.base_scheduler.map(|choice| choice.key().to_owned()),
            ),
        ];
        for (place, text) in texts {
            if let Some(text) = text {
                controls.text(place).set(text);
            }
        }
        // The fields are those of the pictures.
        experiments.is_open.set(false);
        told.set(Some(taken.sentence));
        reveal();
    });

    // A strength that is moved has its effect at once: what is under way ends.
    let latest_move = StoredValue::new(0u32);
    let draw_anew = Callback::new(move |()| {
        let number = latest_move.get_value().wrapping_add(1);
        latest_move.set_value(number);
        set_timeout(
            move || {
                if latest_move.get_value() == number {
                    engine.cancel();
                    generate.run(());
                }
            },
            MOVE_PAUSE,
        );
    });
    // A single file may be an adapter; what is none goes to the models' panel, which says what it is.
    let dropped = StoredValue::new(Vec::<OpenedFile>::new());
    let open_models = Callback::new(move |files: Vec<OpenedFile>| match files.as_slice() {
        [file] => {
            loader.add_adapter(AdapterSource::Disk(file.clone()));
            dropped.set_value(files);
        }
        _ => models.open_with(PairSource::Disk(files)),
    });
    Effect::new(move |_| {
        let failed = loader.adapter_problem.with(Option::is_some);
        let files = dropped.get_value();
        if failed && !files.is_empty() {
            dropped.set_value(Vec::new());
            loader.adapter_problem.set(None);
            models.open_with(PairSource::Disk(files));
        }
    });

    let counts = keep_counted(move || controls.all_prompts(), engine);

    let loading_pair = Signal::derive(move || engine.pair.with(Option::is_none));
    // The size is shown only before the first run.
    let download_size = Signal::derive(move || {
        let loads_itself = engine
            .pair_address
            .with(|address| is_with_the_page(address) || loader.loads_at_once(address));
        if !loads_itself {
            return None;
        }
        // The loader's list knows what has come since the engine looked, in this tab or another.
        let listed = loader
            .entry(&engine.pair_address.get())
            .and_then(|pair| pair.missing);
        let missing = listed.unwrap_or_else(|| engine.missing.get());
        let size = Some(missing).filter(|bytes| *bytes > 0);
        engine.grid.with(Option::is_none).then_some(size).flatten()
    });
    // Both stay while the next pair's manifest is loading, and where it can't be loaded.
    let example_prompts = Memo::new(move |last: Option<&Vec<String>>| {
        engine.pair.with(|pair| match pair {
            Some(pair) => pair.example_prompts.clone(),
            None => last.cloned().unwrap_or_default(),
        })
    });
    let pair_choices = Memo::new(move |last: Option<&Vec<Choice>>| {
        engine.pair.with(|pair| match pair {
            Some(pair) => {
                let own = engine.pair_address.get_untracked();
                let choice = |choice: &PairChoice| Choice {
                    name: choice.name.clone(),
                    address: beside(&own, &choice.manifest),
                };
                pair.family.iter().map(choice).collect()
            }
            None => last.cloned().unwrap_or_default(),
        })
    });

    let lookup = Memo::new(move |_| {
        engine.pair.with(|pair| {
            let vocabulary = pair.as_ref()?.vocabulary.clone()?;
            Some(Arc::new(Lookup::new(vocabulary)))
        })
    });
    let known_words = NodeRef::<leptos::html::Details>::new();
    let see_known_words = Callback::new(move |()| {
        let Some(details) = known_words.get_untracked() else {
            return;
        };
        details.set_open(true);
        details.scroll_into_view();
        let summary = details.first_element_child();
        if let Some(summary) = summary.and_then(|it| it.dyn_into::<web_sys::HtmlElement>().ok()) {
            // The list is open and in sight even without the focus.
            let _ = summary.focus();
        }
    });

    let has_come = Signal::derive(move || {
        engine.pair.with(Option::is_some) || engine.problem.with(Option::is_some)
    });

    view! {
        <UpdateOffer has_come=has_come busy=engine.is_busy />
        <PageHeader pair=engine.pair device=engine.device models=models experiments=experiments />
        <ExperimentsView
            experiments=experiments
            form=experiment_form
            controls=controls
            pair_choices=pair_choices
            example_prompts=example_prompts
            lookup=lookup
            on_choose_pair=address_actions.choose_pair
        />
        <main class="workbench" hidden=experiments.is_open>
            <form
                class="controls"
                aria-label="What to draw"
                novalidate
                autocomplete="off"
                on:submit=move |event| {
                    event.prevent_default();
                    generate.run(());
                }
            >
                <PromptFields
                    controls=controls
                    counts=counts
                    lookup=lookup
                    on_see_list=see_known_words
                    on_generate=generate
                />
                <Actions
                    busy=engine.is_busy
                    on_first_look=first_look
                    on_cancel=cancel
                />
                <ExamplePrompts
                    prompts=example_prompts
                    on_choose=Callback::new(move |prompt| controls.prompt().set(prompt))
                />
                <KnownWords prompt=controls.prompt() lookup=lookup disclosure=known_words />
                <div class="stack-small">
                    <PairField
                        choices=pair_choices
                        current=engine.pair_address
                        on_choose=address_actions.choose_pair
                    />
                    <ModelsButton panel=models />
                    {move || {
                        engine
                            .pair_address
                            .with(|address| is_with_the_page(address))
                            .then(|| {
                                view! {
                                    <p class="help" data-testid="demo-note">
                                        "The small pair that draws now is the demo: it knows emoji alone. SDXL is behind this button."
                                    </p>
                                }
                            })
                    }}
                </div>
                <fieldset class="bare stack" disabled=loading_pair>
                    <SeedFields controls=controls />
                    <SizeField controls=controls pair=engine.pair />
                    <ModeToggles controls=controls />
                    <AxisField controls=controls />
                </fieldset>
                <fieldset class="bare" disabled=loading_pair>
                    <Settings controls=controls pair=engine.pair open=grid_is_beside() />
                </fieldset>
                <AdapterShelf
                    controls=controls
                    loader=loader
                    pair=engine.pair
                    pair_address=engine.pair_address
                    on_move=draw_anew
                    on_generate=generate
                />
                <OpenPicture
                    on_begin=Callback::new(move |()| {
                        notices.set(Vec::new());
                        told.set(None);
                        experiments.problem.set(None);
                    })
                    on_open=Callback::new(move |recipe| {
                        experiments.is_open.set(false);
                        address_actions.open.run(recipe);
                    })
                    on_parameters=take_over
                    on_manifest=Callback::new(move |text| models.open_with(PairSource::Manifest(text)))
                    on_experiment=Callback::new(move |text| {
                        experiments.open_text(text);
                    })
                    on_table=Callback::new(move |text: String| {
                        experiments.is_open.set(true);
                        experiments.problem.set(experiment_form.take_table(&text).err());
                    })
                    on_models=open_models
                    on_problem=show_problem
                    on_notice=Callback::new(move |sentence: String| {
                        if experiments.is_open.get_untracked() {
                            experiments.problem.update(|problem| {
                                let before = problem.take().map(|it| it + " ");
                                *problem = Some(before.unwrap_or_default() + &sentence);
                            });
                        } else {
                            notices.update(|notices| notices.push(sentence));
                        }
                    })
                />
                <History
                    listing=engine.history
                    favourites=engine.favourites
                    problem=history_problem
                    on_ask=ask_history
                    on_open=address_actions.open
                />
            </form>
            <section class="results" aria-label="Images" node_ref=results>
                <LoadStatus
                    loader=loader
                    panel=models
                    current=engine.pair_address
                    on_use=address_actions.choose_pair
                />
                <Status
                    activity=engine.activity
                    draws_experiment=Signal::derive(move || {
                        engine.grid.with(|grid| {
                            grid.as_ref().is_some_and(|grid| grid.extent().is_of_experiment)
                        })
                    })
                    progress=engine.progress
                    queued=engine.queued
                    download_size=download_size
                    notices=Signal::derive(move || {
                        let mut all = notices.get();
                        all.extend(engine.notice.get());
                        all
                    })
                    told=told
                    problem=engine.problem
                    on_go_on=go_on
                />
                <Results
                    engine=engine
                    controls=controls
                    shared_run=shared_run
                    on_generate=generate
                    on_example=example
                    on_problem=show_problem
                />
                <StatsPanel engine=engine />
            </section>
        </main>
        <PageFooter pair=engine.pair />
        <LibraryDialog panel=models current=engine.pair_address on_use=address_actions.choose_pair />
    }
}
