//! A pair's pre-flight: the download, disk and GPU memory that it needs, and whether this browser has
//! them.

use leptos::html;
use leptos::prelude::*;

use crate::browser::adapter_limits::AdapterLimits;
use crate::protocol::loader::{Licence, Preflight, Verdict};
use crate::view::{loading, units};

/// The placeholder until the files' hosts have answered.
#[component]
pub fn Asking() -> impl IntoView {
    let place = NodeRef::<html::Div>::new();
    Effect::new(move |_| {
        if let Some(place) = place.get() {
            // By the next frame it is laid out.
            request_animation_frame(move || {
                let nearest = web_sys::ScrollIntoViewOptions::new();
                nearest.set_block(web_sys::ScrollLogicalPosition::Nearest);
                place.scroll_into_view_with_scroll_into_view_options(&nearest);
            });
        }
    });
    view! {
        <div class="preflight-asking" node_ref=place>
            <p role="status">"Asking the hosts what it needs…"</p>
            <progress aria-label="Asking"></progress>
        </div>
    }
}

/// The verdict in a line, the numbers behind it, the licences to accept, and the button that starts the
/// load. The view takes the focus, so that screen readers read the verdict out.
#[component]
pub fn PreflightView(
    preflight: Preflight,
    /// Called when the visitor has accepted the licences and starts the load.
    on_start: Callback<()>,
    on_close: Callback<()>,
) -> impl IntoView {
    let place = NodeRef::<html::Section>::new();
    Effect::new(move |_| {
        if let Some(place) = place.get() {
            request_animation_frame(move || {
                let _ = place.focus();
            });
        }
    });
    let verdict_key = loading::verdict_key(&preflight.verdict);
    let heading = format!("Before “{}” is downloaded", preflight.name);
    let (verdict, reasons) = loading::verdict(&preflight.verdict);
    let reasons = reasons.to_vec();
    let fits = !matches!(preflight.verdict, Verdict::WontFit(_));
    let needs = needs(&preflight)
        .into_iter()
        .map(|(name, need)| {
            view! {
                <div>
                    <dt>{name}</dt>
                    <dd>{need}</dd>
                </div>
            }
        })
        .collect_view();
    let unproven = (!preflight.unproven.is_empty()).then(|| {
        let files = loading::list(&preflight.unproven);
        view! {
            <p class="preflight-unproven">
                "Their hosts publish no hash of these files, so that only their length can be checked: "
                {files} "."
            </p>
        }
    });
    let notices = preflight.notices.clone().into_iter();
    let notices = notices
        .map(|notice| view! { <p class="help" data-testid="preflight-notice">{notice}</p> })
        .collect_view();
    let accepted = RwSignal::new(vec![false; preflight.licences.len()]);
    let can_start = move || accepted.with(|accepted| accepted.iter().all(|it| *it));
    let accept_first = if preflight.licences.len() == 1 {
        "Accept the licence first."
    } else {
        "Accept the licences first."
    };
    let licences = preflight.licences.clone().into_iter().enumerate();
    let licences = licences
        .map(|(index, licence)| licence_view(index, licence, accepted))
        .collect_view();
    let label = if preflight.download == 0 && preflight.from_disk > 0 {
        "Read it from the disk".to_owned()
    } else if preflight.download == 0 {
        "Finish".to_owned()
    } else if !fits {
        "Download all the same".to_owned()
    } else {
        format!("Download {}", units::size(preflight.download))
    };
    view! {
        <section
            node_ref=place
            class="preflight"
            data-testid="preflight"
            data-verdict=verdict_key
            tabindex="-1"
            aria-label=heading.clone()
            aria-describedby="preflight-verdict"
            on:keydown=move |event| {
                // Escape closes the pre-flight and not the panel.
                if event.key() == "Escape" {
                    event.prevent_default();
                    on_close.run(());
                }
            }
        >
            <h5>{heading.clone()}</h5>
            <div id="preflight-verdict" class="verdict">
                <p>{verdict}</p>
                {(!reasons.is_empty())
                    .then(|| {
                        view! {
                            <ul>
                                {reasons
                                    .into_iter()
                                    .map(|reason| view! { <li>{reason}</li> })
                                    .collect_view()}
                            </ul>
                        }
                    })}
            </div>
            <dl class="needs">{needs}</dl>
            {notices}
            {unproven}
            {licences}
            {(!fits)
                .then(|| {
                    view! {
                        <p class="help">
                            "It can be downloaded all the same, for a later browser or another GPU in this machine."
                        </p>
                    }
                })}
            <div class="preflight-buttons">
                <button
                    type="button"
                    class:primary=fits
                    data-testid="start-load"
                    disabled=move || !can_start()
                    on:click=move |_| on_start.run(())
                >
                    {label}
                </button>
                <button type="button" data-testid="close-preflight" on:click=move |_| on_close.run(())>
                    "Not now"
                </button>
                {move || {
                    (!can_start())
                        .then(|| {
                            view! { <span class="help">{accept_first}</span> }
                        })
                }}
            </div>
        </section>
    }
}

/// A checkbox for a licence, with a link to its text.
pub fn licence_view(
    index: usize,
    licence: Licence,
    accepted: RwSignal<Vec<bool>>,
) -> impl IntoView {
    let label = format!("I accept the licence “{}”", licence.name);
    let link = loading::web_address(&licence.url).map(|url| {
        view! {
            <a
                href=url.to_owned()
                target="_blank"
                rel="noopener noreferrer"
                aria-label=format!("Read it: {}, in a new tab", licence.name)
            >
                "Read it"
            </a>
        }
    });
    view! {
        <p class="licence">
            <label class="toggle">
                <input
                    type="checkbox"
                    data-testid="accept-licence"
                    on:change=move |event| {
                        let is_ticked = event_target_checked(&event);
                        accepted
                            .update(|accepted| {
                                if let Some(accepted) = accepted.get_mut(index) {
                                    *accepted = is_ticked;
                                }
                            });
                    }
                />
                <span>{label}</span>
            </label>
            {link}
        </p>
    }
}

/// The needs of the pair beside what this browser has.
fn needs(preflight: &Preflight) -> Vec<(&'static str, String)> {
    let disk = units::size(preflight.disk_needed);
    let disk = match preflight.disk_free {
        Some(free) => format!("{disk} of {} that are free here", units::size(free)),
        None => format!("{disk}; this browser doesn't say how much is free"),
    };
    let memory = preflight
        .gpu_weights
        .saturating_add(preflight.gpu_activations);
    let adapters = match preflight.gpu_adapters {
        0 => String::new(),
        bytes => format!(
            " ({} of them of the adapters on the shelf)",
            units::size(bytes)
        ),
    };
    let memory = format!(
        "about {}: {} of weights{adapters}, and up to {} beside them for pictures of {} pixels; browsers don't say how much a GPU has",
        units::size(memory),
        units::size(preflight.gpu_weights),
        units::size(preflight.gpu_activations),
        preflight.image_size
    );
    let largest = units::size(preflight.largest_buffer);
    let mut needs = vec![
        ("Download", loading::download(preflight)),
        ("Disk", disk),
        ("GPU memory", memory),
    ];
    match &preflight.adapter {
        Some(adapter) => {
            needs.push((
                "Largest buffer",
                format!(
                    "{largest}; this GPU allows {}, and binds {}",
                    units::size(adapter.buffer),
                    units::size(adapter.binding)
                ),
            ));
            needs.push(("GPU", gpu(adapter)));
        }
        None => {
            needs.push(("Largest buffer", largest));
            needs.push(("GPU", "none: this browser has no WebGPU here".to_owned()));
        }
    }
    needs
}

fn gpu(adapter: &AdapterLimits) -> String {
    let kind = if adapter.is_software {
        ", emulated on the CPU"
    } else {
        ""
    };
    let precision = if adapter.has_f16 {
        "with half precision (f16)"
    } else {
        "without half precision (f16)"
    };
    format!("{}{kind}, {precision}", adapter.description)
}
