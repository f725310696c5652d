//! What the rows differ in beside the mode.

use leptos::prelude::*;

use super::controls::{AxisKind, Controls};
use super::wrong_field::{FieldError, error_id, invalid_at};
use crate::recipe::bounds::MAXIMUM_ROWS;
use crate::view::wrong_field::{AXIS, FURTHER_PROMPTS};

/// A choice of axis, and a field for its values.
#[component]
pub fn AxisField(controls: Controls) -> impl IntoView {
    let kind = controls.axis_kind;
    let options = AxisKind::ALL.map(|choice| {
        view! {
            <option value=choice.key() prop:selected=move || kind.get() == choice>
                {choice.label()}
            </option>
        }
    });
    let values = move || match kind.get() {
        AxisKind::Modes => ().into_any(),
        AxisKind::K => view! {
            <ListField
                handle="k-values"
                label="Values of k"
                help="such as 1, 2, 3: a hybrid row for each"
                controls=controls
                value=controls.k_values
            />
        }
        .into_any(),
        AxisKind::BaseGuidance => view! {
            <ListField
                handle="base-guidance-values"
                label="Base guidance scales"
                help="such as 0, 3, 7: a hybrid row for each"
                controls=controls
                value=controls.base_guidance_values
            />
        }
        .into_any(),
        AxisKind::AdapterStrength => view! {
            <ListField
                handle="adapter-strengths"
                label="Strengths"
                help="such as -1, 0, 1: rows for each, per mode"
                controls=controls
                value=controls.adapter_strengths
            />
        }
        .into_any(),
        AxisKind::Prompts => {
            let text = controls.further_prompts;
            view! {
                <div class="field">
                    <label for="further-prompts">"Further prompts"</label>
                    <textarea
                        id="further-prompts"
                        data-testid="further-prompts"
                        rows="3"
                        aria-describedby="further-prompts-help further-prompts-error"
                        aria-invalid=invalid_at(controls.wrong, FURTHER_PROMPTS)
                        prop:value=text
                        on:input=move |event| text.set(event_target_value(&event))
                    ></textarea>
                    <p id="further-prompts-help" class="help">
                        {format!("one per line; each has a row per mode, {MAXIMUM_ROWS} rows at most")}
                    </p>
                    <FieldError wrong=controls.wrong handle=FURTHER_PROMPTS />
                </div>
            }
            .into_any()
        }
    };
    view! {
        <div class="stack-small">
            <div class="field">
                <label for="axis">"Rows differ in"</label>
                <select
                    id="axis"
                    data-testid="axis"
                    aria-describedby="axis-error"
                    aria-invalid=invalid_at(controls.wrong, AXIS)
                    on:change=move |event| {
                        if let Some(choice) = AxisKind::from_key(&event_target_value(&event)) {
                            kind.set(choice);
                        }
                    }
                >
                    {options.into_iter().collect_view()}
                </select>
                <FieldError wrong=controls.wrong handle=AXIS />
            </div>
            {values}
        </div>
    }
}

/// A field for numbers with commas between them.
#[component]
fn ListField(
    handle: &'static str,
    label: &'static str,
    help: &'static str,
    controls: Controls,
    value: RwSignal<String>,
) -> impl IntoView {
    let help_id = format!("{handle}-help");
    let described_by = format!("{help_id} {}", error_id(handle));
    view! {
        <div class="field">
            <label for=handle>{label}</label>
            <input
                id=handle
                data-testid=handle
                type="text"
                inputmode="decimal"
                autocomplete="off"
                aria-describedby=described_by
                aria-invalid=invalid_at(controls.wrong, handle)
                prop:value=value
                on:input=move |event| value.set(event_target_value(&event))
            />
            <p id=help_id class="help">
                {help}
            </p>
            <FieldError wrong=controls.wrong handle=handle />
        </div>
    }
}
