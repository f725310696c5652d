//! A choice of scheduler.

use leptos::prelude::*;

use crate::recipe::parameters::OWN_SCHEDULER;
use crate::sampler::SchedulerClass;

/// The schedulers, first of all the pair's own, which is the default.
#[component]
pub fn SchedulerField(
    label: &'static str,
    /// The field's `data-testid`, and its id.
    handle: &'static str,
    /// A [`SchedulerClass::key`], or [`OWN_SCHEDULER`].
    value: RwSignal<String>,
    /// The scheduler that the pair brings for this model.
    #[prop(into)]
    own: Signal<Option<SchedulerClass>>,
) -> impl IntoView {
    let own_label = move || match own.get() {
        Some(class) => format!("The pair's own ({})", class.label()),
        None => "The pair's own".to_owned(),
    };
    let options = SchedulerClass::ALL.map(|class| {
        view! {
            <option value=class.key() prop:selected=move || value.with(|value| value == class.key())>
                {class.label()}
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
