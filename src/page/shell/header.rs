//! The page's header: its name, the pair, and the device that the pair runs on.

use leptos::prelude::*;

use crate::page::experiments::{Experiments, ExperimentsButton};
use crate::page::library::Panel;
use crate::protocol::engine::{DeviceInfo, DeviceKind, PairInfo};

/// The page's name and purpose, the pair and the device, and a sentence where WebGPU is not used.
#[component]
pub fn PageHeader(
    #[prop(into)] pair: Signal<Option<PairInfo>>,
    #[prop(into)] device: Signal<Option<DeviceInfo>>,
    /// The panel that the pair's name opens.
    models: Panel,
    /// The view that the header leads to, and back from.
    experiments: Experiments,
) -> impl IntoView {
    let pair_name = move || pair.with(|pair| pair.as_ref().map(|pair| pair.name.clone()));
    let key = move || device.with(|device| device.as_ref().map(|device| device.kind.key()));
    let kind = move || {
        device.with(|device| match device.as_ref().map(|device| device.kind) {
            Some(DeviceKind::WebGpu) => "WebGPU",
            Some(DeviceKind::Cpu) => "CPU",
            None => "choosing…",
        })
    };
    let description =
        move || device.with(|device| device.as_ref().map(|device| device.description.clone()));
    let notice = move || device.with(|device| device.as_ref()?.notice.clone());
    view! {
        <header class="page-header">
            <div class="title">
                <h1>"Firststep"</h1>
                <p>
                    "Fast, “distilled” image models draw nearly the same picture for every seed. Let "
                    "the slow base model take the first step, and the variety comes back."
                </p>
            </div>
            <dl class="facts">
                <div>
                    <dt>"Models"</dt>
                    <dd>
                        <button
                            type="button"
                            class="inline"
                            title="All models and their storage"
                            aria-haspopup="dialog"
                            on:click=move |_| models.open()
                        >
                            {move || pair_name().unwrap_or_else(|| "loading…".to_owned())}
                        </button>
                    </dd>
                </div>
                <div>
                    <dt>"Runs on"</dt>
                    <dd data-testid="device" data-device=key>
                        <span>{kind}</span>
                        {move || description().map(|text| view! { <small>{text}</small> })}
                    </dd>
                </div>
                <div>
                    <dt>"Tables and figures"</dt>
                    <dd>
                        <ExperimentsButton experiments=experiments />
                    </dd>
                </div>
            </dl>
            {move || notice().map(|text| view! { <p class="notice">{text}</p> })}
        </header>
    }
}
