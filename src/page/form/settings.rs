//! Every number of the recipe, by model.

use leptos::prelude::*;

use super::controls::Controls;
use super::parameter_field::ParameterField;
use crate::protocol::engine::{OwnScheduler, PairInfo};
use crate::recipe::parameters::place_of;

/// A parameter's control.
#[derive(Clone, Copy)]
struct Row {
    /// The parameter's place in [`PARAMETERS`](crate::recipe::parameters::PARAMETERS).
    place: usize,
    label: &'static str,
    help: &'static str,
}

const fn row(name: &str, label: &'static str, help: &'static str) -> Row {
    Row {
        place: place_of(name),
        label,
        help,
    }
}

const HYBRID: &[Row] = &[
    row("k", "k", "distilled steps that the base model takes over"),
    row(
        "base-guidance",
        "Base guidance",
        "for those steps; up to 1 is no guidance",
    ),
    row(
        "hybrid-base-steps",
        "Base steps",
        "in place of each replaced step; 1 follows the distilled schedule. A replaced step that is longer than the others takes more",
    ),
];
const ADAPTIVE: &[Row] = &[
    row(
        "adaptive-threshold",
        "Threshold",
        "it hands over once the target moves by less than this part of its length; 0 stands for 0.5",
    ),
    row(
        "adaptive-k",
        "Largest k",
        "0 is all of the distilled model's steps",
    ),
];
const DISTILLED: &[Row] = &[
    row("distilled-steps", "Steps", ""),
    row(
        "distilled-guidance",
        "Guidance",
        "of all distilled steps; above 1 doubles their time",
    ),
    row("distilled-scheduler", "Scheduler", ""),
];
const BASE: &[Row] = &[
    row("base-steps", "Steps", ""),
    row(
        "guidance",
        "Guidance",
        "of the base row; above 1 doubles its time",
    ),
    row("base-scheduler", "Scheduler", ""),
];
/// The place of the one help that depends on the pair, and the help where the model embeds its
/// guidance scale.
const DISTILLED_GUIDANCE: usize = place_of("distilled-guidance");
const EMBEDDED_GUIDANCE: &str =
    "this model takes it as an input: no second pass, no negative prompt";

/// The settings of the base model, the distilled model and the hybrid.
#[component]
pub fn Settings(
    controls: Controls,
    #[prop(into)] pair: Signal<Option<PairInfo>>,
    /// Whether the settings are open from the start.
    open: bool,
) -> impl IntoView {
    let own = move |scheduler: fn(&PairInfo) -> &OwnScheduler| {
        Signal::derive(move || pair.with(|pair| Some(scheduler(pair.as_ref()?).label.clone())))
    };
    let base_scheduler = own(|pair| &pair.base_scheduler);
    let distilled_scheduler = own(|pair| &pair.distilled_scheduler);
    let notices = move || {
        let notices = pair.with(|pair| Some(pair.as_ref()?.scheduler_notices.clone()));
        let notices = notices.unwrap_or_default().into_iter();
        notices
            .map(|notice| view! { <p class="help" data-testid="scheduler-notice">{notice}</p> })
            .collect_view()
    };
    let embeds_guidance = Signal::derive(move || {
        pair.with(|pair| {
            pair.as_ref()
                .is_some_and(|pair| pair.embeds_distilled_guidance)
        })
    });
    let fields = move |rows: &'static [Row], own| {
        let field = move |&Row { place, label, help }: &Row| {
            let help = Signal::derive(move || {
                if place == DISTILLED_GUIDANCE && embeds_guidance.get() {
                    EMBEDDED_GUIDANCE
                } else {
                    help
                }
            });
            view! {
                <ParameterField controls=controls place=place label=label help=help own=own />
            }
        };
        view! { <div class="fields">{rows.iter().map(field).collect_view()}</div> }
    };
    view! {
        <details class="settings" open=open>
            <summary>"Settings"</summary>
            <fieldset class="group">
                <legend>"Hybrid"</legend>
                {fields(HYBRID, Signal::default())}
            </fieldset>
            <fieldset class="group">
                <legend>"Adaptive switch"</legend>
                {fields(ADAPTIVE, Signal::default())}
            </fieldset>
            <fieldset class="group model-distilled">
                <legend>"Distilled model"</legend>
                {fields(DISTILLED, distilled_scheduler)}
            </fieldset>
            <fieldset class="group model-base">
                <legend>"Base model"</legend>
                {fields(BASE, base_scheduler)}
            </fieldset>
            {notices}
        </details>
    }
}
