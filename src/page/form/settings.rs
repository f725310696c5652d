//! Every number of the recipe, by model.

use leptos::prelude::*;

use super::controls::Controls;
use super::number_field::NumberField;
use super::scheduler_field::SchedulerField;
use crate::protocol::engine::PairInfo;
use crate::recipe::bounds::{GUIDANCE_SCALE, HYBRID_BASE_STEPS, STEPS};

/// The settings of the base model, the distilled model and the hybrid.
#[component]
pub fn Settings(
    controls: Controls,
    #[prop(into)] pair: Signal<Option<PairInfo>>,
    /// Whether the settings are open from the start.
    open: bool,
) -> impl IntoView {
    let base_scheduler =
        Signal::derive(move || pair.with(|pair| pair.as_ref().map(|pair| pair.base_scheduler)));
    let distilled_scheduler = Signal::derive(move || {
        pair.with(|pair| pair.as_ref().map(|pair| pair.distilled_scheduler))
    });
    let embeds_guidance = Signal::derive(move || {
        pair.with(|pair| {
            pair.as_ref()
                .is_some_and(|pair| pair.embeds_distilled_guidance)
        })
    });
    let guidance_help = Signal::derive(move || {
        if embeds_guidance.get() {
            "this model takes it as an input: no second pass, no negative prompt"
        } else {
            "of all distilled steps; above 1 doubles their time"
        }
    });
    view! {
        <details class="settings" open=open>
            <summary>"Settings"</summary>
            <fieldset class="group">
                <legend>"Hybrid"</legend>
                <div class="fields">
                    <NumberField
                        label="k"
                        handle="k"
                        value=controls.k
                        bounds=STEPS
                        step="1"
                        help="distilled steps that the base model takes over"
                    />
                    <NumberField
                        label="Base guidance"
                        handle="base-guidance"
                        value=controls.hybrid_base_guidance
                        bounds=GUIDANCE_SCALE
                        step="0.5"
                        help="for those steps; up to 1 is no guidance"
                    />
                    <NumberField
                        label="Base steps"
                        handle="hybrid-base-steps"
                        value=controls.hybrid_base_steps
                        bounds=HYBRID_BASE_STEPS
                        step="1"
                        help="in place of each replaced step; 1 follows the distilled schedule"
                    />
                </div>
            </fieldset>
            <fieldset class="group model-distilled">
                <legend>"Distilled model"</legend>
                <div class="fields">
                    <NumberField
                        label="Steps"
                        handle="distilled-steps"
                        value=controls.distilled_steps
                        bounds=STEPS
                        step="1"
                    />
                    <NumberField
                        label="Guidance"
                        handle="distilled-guidance"
                        value=controls.distilled_guidance
                        bounds=GUIDANCE_SCALE
                        step="0.5"
                        help=guidance_help
                    />
                    <SchedulerField
                        handle="distilled-scheduler"
                        value=controls.distilled_scheduler
                        own=distilled_scheduler
                    />
                </div>
            </fieldset>
            <fieldset class="group model-base">
                <legend>"Base model"</legend>
                <div class="fields">
                    <NumberField
                        label="Steps"
                        handle="base-steps"
                        value=controls.base_steps
                        bounds=STEPS
                        step="1"
                    />
                    <NumberField
                        label="Guidance"
                        handle="guidance"
                        value=controls.base_guidance
                        bounds=GUIDANCE_SCALE
                        step="0.5"
                        help="of the base row; above 1 doubles its time"
                    />
                    <SchedulerField
                        handle="base-scheduler"
                        value=controls.base_scheduler
                        own=base_scheduler
                    />
                </div>
            </fieldset>
        </details>
    }
}
