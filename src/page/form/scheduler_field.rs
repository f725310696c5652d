//! A choice of scheduler.

use leptos::prelude::*;

use crate::recipe::parameters::OWN_SCHEDULER;
use crate::sampler::SchedulerChoice;

/// The schedulers, first of all the pair's own, which is the default.
#[component]
pub fn SchedulerField(
    label: &'static str,
    /// The field's `data-testid`, and its id.
    handle: &'static str,
    /// A [`SchedulerChoice::key`], or [`OWN_SCHEDULER`].
    value: RwSignal<String>,
    /// The name of the scheduler that the pair brings for this model.
    #[prop(into)]
    own: Signal<Option<String>>,
) -> impl IntoView {
    let own_label = move || match own.get() {
        Some(name) => format!("The pair's own ({name})"),
        None => "The pair's own".to_owned(),
    };
    let options = SchedulerChoice::ALL.map(|choice| {
        view! {
            <option value=choice.key() prop:selected=move || value.with(|value| value == choice.key())>
                {choice.label()}
            </option>
        }
    });
    view! {
        <div class="field wide">
            <label for=handle>{label}</label>
            <select
                id=handle
                data-testid=handle
                on:change=move |event| value.set(event_target_value(&event))
            >
                <option
                    value=OWN_SCHEDULER
                    prop:selected=move || value.with(|value| value == OWN_SCHEDULER)
                >
                    {own_label}
                </option>
                {options.into_iter().collect_view()}
            </select>
        </div>
    }
}
