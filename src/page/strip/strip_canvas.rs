//! A canvas with the outline of the region that is followed.

use leptos::html::Canvas;
use leptos::prelude::*;

use super::region_tool::RegionTool;

/// The canvas, and the region's outline over it. The panel's style has the outline's place, so that one
/// change moves every outline.
#[component]
pub fn StripCanvas(
    canvas: NodeRef<Canvas>,
    region: RegionTool,
    /// Whether a finger draws the region too.
    #[prop(optional)]
    finger_draws: bool,
) -> impl IntoView {
    view! {
        <span
            class="strip-picture"
            on:pointerdown=move |event| region.press(&event, finger_draws)
            on:pointermove=move |event| region.moves(&event)
            on:pointerup=move |_| region.release()
            on:pointercancel=move |_| region.release()
            on:pointerleave=move |_| region.leave()
        >
            <canvas node_ref=canvas aria-hidden="true"></canvas>
            <i class="strip-region" data-testid="strip-region"></i>
        </span>
    }
}
