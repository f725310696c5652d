//! The pair's licence and attribution.

use leptos::prelude::*;

use crate::protocol::engine::PairInfo;

/// The pair's name, licence and attribution; empty until the manifest has been read.
#[component]
pub fn PageFooter(#[prop(into)] pair: Signal<Option<PairInfo>>) -> impl IntoView {
    let text = move || {
        pair.get().map(|pair| {
            view! {
                <p>{pair.description}</p>
                <p>
                    {pair.name} ": " {pair.licence} ". " {pair.attribution}
                </p>
            }
        })
    };
    view! {
        <footer class="page-footer">
            {text}
            <p>"Everything runs on this device. Nothing you type leaves it."</p>
        </footer>
    }
}
