//! Which seeds to draw: the columns of the grid.

use leptos::prelude::*;

use super::controls::Controls;
use super::parameter_field::ParameterField;
use crate::recipe::parameters::place;

/// The first seed with a dice, and how many.
#[component]
pub fn SeedFields(controls: Controls) -> impl IntoView {
    let roll = move |_| {
        // In [0, 2^32): the cast drops the fraction.
        let number = (js_sys::Math::random() * 4_294_967_296.0) as u32;
        controls.text(place::SEED).set(number.to_string());
    };
    view! {
        <div class="seeds">
            <ParameterField controls=controls place=place::SEED label="First seed" />
            <button type="button" class="dice" on:click=roll aria-label="Roll another seed" title="Roll another seed">
                <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
                    <rect x="3" y="3" width="18" height="18" rx="4" fill="none" stroke="currentColor" stroke-width="2" />
                    <circle cx="8" cy="8" r="1.6" fill="currentColor" />
                    <circle cx="16" cy="8" r="1.6" fill="currentColor" />
                    <circle cx="12" cy="12" r="1.6" fill="currentColor" />
                    <circle cx="8" cy="16" r="1.6" fill="currentColor" />
                    <circle cx="16" cy="16" r="1.6" fill="currentColor" />
                </svg>
            </button>
            <ParameterField controls=controls place=place::SEED_COUNT label="Seeds" />
        </div>
    }
}
