//! A number with its label, bounds and help.

use std::fmt::Display;
use std::str::FromStr;

use leptos::prelude::*;

use crate::recipe::bounds::Bounds;

/// A field for a number; it says so itself when what it holds is none within the bounds.
#[component]
pub fn NumberField<T>(
    label: &'static str,
    /// The field's `data-testid`, and its id.
    handle: &'static str,
    value: RwSignal<String>,
    bounds: Bounds<T>,
    /// What a press of an arrow key adds.
    step: &'static str,
    #[prop(optional, into)] help: Signal<&'static str>,
    /// What is wrong with the value beside others; none while nothing is.
    #[prop(optional, into)]
    wrong: Signal<Option<String>>,
) -> impl IntoView
where
    T: FromStr + PartialOrd + Display + Copy + Send + Sync + 'static,
    Bounds<T>: Display,
{
    let valid = move || value.with(|text| bounds.parse(text).is_some());
    let help_id = format!("{handle}-help");
    let described_by = help_id.clone();
    let explanation = move || {
        if let Some(sentence) = wrong.get() {
            return sentence;
        }
        // An empty field is one that has not been filled yet, or is being typed in.
        if valid() || value.with(String::is_empty) {
            help.get().to_owned()
        } else {
            format!("This has to be {bounds}.")
        }
    };
    // Written only where it differs: half a number, such as "1.", reads as empty, and writing that
    // back would wipe it while it is being typed.
    let field = NodeRef::<leptos::html::Input>::new();
    Effect::new(move |_| {
        let text = value.get();
        if let Some(field) = field.get()
            && field.value() != text
        {
            field.set_value(&text);
        }
    });
    view! {
        <div class="field">
            <label for=handle>{label}</label>
            <input
                node_ref=field
                id=handle
                data-testid=handle
                type="number"
                inputmode="decimal"
                min=bounds.minimum.to_string()
                max=bounds.maximum.to_string()
                step=step
                aria-describedby=described_by
                aria-invalid=move || {
                    let is_invalid = !valid() && !value.with(String::is_empty);
                    (is_invalid || wrong.with(Option::is_some)).then_some("true")
                }
                on:input=move |event| value.set(event_target_value(&event))
            />
            <p id=help_id class="help">
                {explanation}
            </p>
        </div>
    }
}
