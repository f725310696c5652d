//! The control of a parameter that is a number or a scheduler.

#![expect(
    clippy::indexing_slicing,
    reason = "places are constants of the table of parameters"
)]

use leptos::prelude::*;

use super::controls::Controls;
use super::number_field::NumberField;
use super::scheduler_field::SchedulerField;
use super::wrong_field::sentence_at;
use crate::recipe::parameters::{Kind, PARAMETERS};

/// A field with the name, the bounds and the text of a parameter; nothing for a parameter of another
/// kind, which has a component of its own.
#[component]
pub fn ParameterField(
    controls: Controls,
    /// The parameter's place in [`PARAMETERS`].
    place: usize,
    label: &'static str,
    #[prop(optional, into)] help: Signal<&'static str>,
    /// The name of the scheduler that the pair brings for this model.
    #[prop(optional, into)]
    own: Signal<Option<String>>,
) -> impl IntoView {
    let parameter = &PARAMETERS[place];
    let handle = parameter.name;
    let value = controls.text(place);
    let wrong = sentence_at(controls.wrong, handle);
    match &parameter.kind {
        Kind::Whole(_, bounds) => {
            let bounds = *bounds;
            view! { <NumberField label=label handle=handle value=value bounds=bounds step="1" help=help wrong=wrong /> }
                .into_any()
        }
        Kind::Number(_, bounds) => {
            let bounds = *bounds;
            view! { <NumberField label=label handle=handle value=value bounds=bounds step="0.5" help=help wrong=wrong /> }
                .into_any()
        }
        Kind::Scheduler(_) => {
            view! { <SchedulerField label=label handle=handle value=value own=own /> }.into_any()
        }
        Kind::Prompt(_)
        | Kind::Modes(_)
        | Kind::Axis(_)
        | Kind::Switch(_)
        | Kind::Size(_)
        | Kind::Adapters(_) => ().into_any(),
    }
}
