//! The fields of the form that are no numbers.

use leptos::prelude::*;

use super::held::ExperimentForm;
use crate::page::form::mode_toggles::ModeToggle;
use crate::page::form::wrong_field::{FieldError, error_id, invalid_at};
use crate::recipe::Mode;
use crate::recipe::experiment::{Study, prompts};
use crate::view::experiments::input::{field, first_values, study_name, values_label, words};
use crate::view::units;

/// What the experiment is about.
#[component]
pub fn SelectStudy(form: ExperimentForm) -> impl IntoView {
    let choose = move |key: String| {
        form.values.set(first_values(&key).to_owned());
        form.study.set(key);
    };
    view! {
        <div class="field">
            <label for=field::STUDY>"Kind"</label>
            <select
                id=field::STUDY
                data-testid=field::STUDY
                aria-describedby="experiment-study-help experiment-study-error"
                prop:value=move || form.study.get()
                on:change=move |event| choose(event_target_value(&event))
            >
                {Study::KEYS
                    .map(|key| {
                        view! {
                            <option value=key selected=move || form.study.with(|it| it == key)>
                                {study_name(key)}
                            </option>
                        }
                    })
                    .into_iter()
                    .collect_view()}
            </select>
            <p id="experiment-study-help" class="help">
                {move || form.study.with(|key| words(key))}
            </p>
            <FieldError wrong=form.wrong handle=field::STUDY />
        </div>
    }
}

/// The values of the setting that is compared, where the kind has one.
#[component]
pub fn ValuesField(form: ExperimentForm) -> impl IntoView {
    let label = Memo::new(move |_| form.study.with(|key| values_label(key)));
    move || {
        label.get().map(|label| {
            view! {
                <div class="field">
                    <label for=field::VALUES>{label}</label>
                    <input
                        id=field::VALUES
                        data-testid=field::VALUES
                        type="text"
                        inputmode="decimal"
                        aria-describedby=error_id(field::VALUES)
                        aria-invalid=invalid_at(form.wrong, field::VALUES)
                        prop:value=move || form.values.get()
                        on:input=move |event| form.values.set(event_target_value(&event))
                    />
                    <FieldError wrong=form.wrong handle=field::VALUES />
                </div>
            }
        })
    }
}

/// The prompts, a line each, with those to take over.
#[component]
pub fn PromptsField(
    form: ExperimentForm,
    #[prop(into)] example_prompts: Signal<Vec<String>>,
    /// What is to be known of the prompts.
    #[prop(into)]
    notes: Signal<Vec<String>>,
) -> impl IntoView {
    let count = move || {
        let (count, lines) = form.prompts.with(|text| {
            let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
            (prompts::of_lines(text).len(), lines)
        });
        let repeated = match lines - count {
            0 => String::new(),
            1 => " A line that is there twice counts once.".to_owned(),
            many => format!(" {many} lines are there already and count once."),
        };
        format!(
            "{}; one a line.{repeated}",
            units::count(count, "prompt", "prompts")
        )
    };
    view! {
        <div class="field">
            <label for=field::PROMPTS>"Prompts"</label>
            <textarea
                id=field::PROMPTS
                data-testid=field::PROMPTS
                rows="5"
                spellcheck="true"
                aria-describedby="experiment-prompts-help experiment-prompts-error"
                aria-invalid=invalid_at(form.wrong, field::PROMPTS)
                prop:value=move || form.prompts.get()
                on:input=move |event| form.prompts.set(event_target_value(&event))
            ></textarea>
            <p id="experiment-prompts-help" class="help">
                {count}
            </p>
            <FieldError wrong=form.wrong handle=field::PROMPTS />
            <div class="token-counter" role="status" data-testid="experiment-prompt-notes">
                {move || notes.get().into_iter().map(|note| view! { <p>{note}</p> }).collect_view()}
            </div>
            <div class="experiment-presets">
                <button
                    type="button"
                    class="chip"
                    data-testid="experiment-paper-prompts"
                    on:click=move |_| form.prompts.set(prompts::OF_THE_PAPER.join("\n"))
                >
                    "The paper's five"
                </button>
                {move || {
                    let examples = example_prompts.get();
                    (!examples.is_empty())
                        .then(|| {
                            view! {
                                <button
                                    type="button"
                                    class="chip"
                                    on:click=move |_| form.prompts.set(examples.join("\n"))
                                >
                                    "This pair's examples"
                                </button>
                            }
                        })
                }}
            </div>
        </div>
    }
}

/// The modes that are compared.
#[component]
pub fn Modes(form: ExperimentForm) -> impl IntoView {
    let modes = form.modes;
    let checkbox = move |mode: Mode| {
        // The first stands for all of them when none is chosen.
        let handle = if mode == Mode::ALL[0] {
            field::MODES.to_owned()
        } else {
            format!("experiment-mode-{}", mode.key())
        };
        let error = error_id(field::MODES);
        view! { <ModeToggle mode=mode modes=modes handle=handle error=error /> }
    };
    view! {
        <fieldset class="bare">
            <legend>"Modes"</legend>
            <div class="toggles">{Mode::ALL.map(checkbox).into_iter().collect_view()}</div>
            <FieldError wrong=form.wrong handle=field::MODES />
        </fieldset>
    }
}
