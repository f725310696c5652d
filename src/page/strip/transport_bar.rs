//! What moves both strips.

use leptos::prelude::*;

use super::cell_strip::CellStrip;
use super::region_tool::RegionTool;
use super::strip_section::DisplayOptions;
use super::transport::Transport;
use crate::view::rows::model_key;
use crate::view::strip::NOISE;

/// The speeds on offer, as values of the select and in words.
const SPEEDS: [(&str, &str); 3] = [("0.5", "0.5×"), ("1", "1×"), ("2", "2×")];

/// Play, pause, scrub and frame by frame along the timestep, and how the frames are shown.
#[component]
pub fn TransportBar(
    transport: Transport,
    /// The upper strip and the lower one.
    strips: [CellStrip; 2],
    /// Of both strips, from the noise down.
    timesteps: Memo<Vec<f32>>,
    options: DisplayOptions,
    region: RegionTool,
) -> impl IntoView {
    let play_words = move || {
        if transport.is_playing.get() {
            "Pause"
        } else {
            "Play"
        }
    };
    let back = move |_| timesteps.with_untracked(|all| transport.step_back(all));
    let on = move |_| timesteps.with_untracked(|all| transport.step_on(all));
    view! {
        <div class="transport" role="group" aria-label="Animation of the steps">
            <div class="transport-line">
                <button
                    type="button"
                    class="primary transport-play"
                    data-testid="strip-play"
                    aria-keyshortcuts="Space"
                    on:click=move |_| transport.toggle()
                >
                    {play_words}
                </button>
                <button
                    type="button"
                    data-testid="strip-back"
                    aria-label="Step back"
                    title="Step back (,)"
                    aria-keyshortcuts=","
                    on:click=back
                >
                    "‹"
                </button>
                <button
                    type="button"
                    data-testid="strip-on"
                    aria-label="Step on"
                    title="Step on (.)"
                    aria-keyshortcuts="."
                    on:click=on
                >
                    "›"
                </button>
                <Scrub transport=transport strips=strips timesteps=timesteps />
                <output class="transport-time" for="strip-scrub" data-testid="strip-time">
                    {move || format!("t = {:.0}", transport.position.get().max(0.0))}
                </output>
            </div>
            <div class="transport-line transport-options">
                <label class="transport-speed">
                    "Speed "
                    <select
                        data-testid="strip-speed"
                        on:change=move |event| {
                            if let Ok(speed) = event_target_value(&event).parse() {
                                transport.speed.set(speed);
                            }
                        }
                    >
                        {SPEEDS
                            .map(|(value, words)| {
                                let is_chosen = move || {
                                    value.parse() == Ok(transport.speed.get())
                                };
                                view! {
                                    <option value=value prop:selected=is_chosen>
                                        {words}
                                    </option>
                                }
                            })
                            .collect_view()}
                    </select>
                </label>
                <Toggle label="Loop" handle="strip-loop" value=transport.loops />
                <Toggle label="Crossfade" handle="strip-fade" value=transport.fades />
                <Toggle label="Standard view" handle="strip-standard" value=options.sample />
                <Toggle
                    label="Difference to the final picture"
                    handle="strip-difference"
                    value=options.difference
                />
                {move || {
                    region
                        .drawn
                        .get()
                        .map(|_| {
                            view! {
                                <button
                                    type="button"
                                    class="chip"
                                    data-testid="strip-region-clear"
                                    on:click=move |_| region.clear()
                                >
                                    "Clear the box"
                                </button>
                            }
                        })
                }}
            </div>
        </div>
    }
}

/// The slider runs from the noise at its left end to the picture at its right: its value is the
/// timestep.
#[component]
fn Scrub(transport: Transport, strips: [CellStrip; 2], timesteps: Memo<Vec<f32>>) -> impl IntoView {
    let take_key = move |event: web_sys::KeyboardEvent| {
        if event.ctrl_key() || event.alt_key() || event.meta_key() {
            return;
        }
        match event.key().as_str() {
            "ArrowRight" | "ArrowUp" => timesteps.with_untracked(|all| transport.step_on(all)),
            "ArrowLeft" | "ArrowDown" => timesteps.with_untracked(|all| transport.step_back(all)),
            "Home" => transport.go_to(NOISE),
            "End" => transport.go_to(0.0),
            _ => return,
        }
        event.prevent_default();
    };
    // Changes with the steps, not with the animation's every turn: it is read out.
    let words = Memo::new(move |_| {
        let each = strips
            .iter()
            .filter(|strip| strip.is_open())
            .filter_map(|strip| {
                let name = strip.cell.get()?.name();
                Some(format!("{name}: {}", strip.words()?))
            });
        each.collect::<Vec<_>>().join("; ")
    });
    view! {
        <div class="transport-scrub">
            <label for="strip-scrub" class="visually-hidden">
                "Timestep, from noise (1000) to the picture (0)"
            </label>
            <input
                id="strip-scrub"
                data-testid="strip-scrub"
                type="range"
                // So that the noise is at the left end.
                dir="rtl"
                min="0"
                max=NOISE.to_string()
                step="1"
                aria-valuetext=words
                prop:value=move || format!("{:.0}", transport.position.get().max(0.0))
                on:input=move |event| {
                    if let Ok(position) = event_target_value(&event).parse() {
                        transport.go_to(position);
                    }
                }
                on:keydown=take_key
            />
            <Ticks strips=strips />
        </div>
    }
}

/// Where each strip's steps stand along the slider, the upper strip's above the lower one's.
#[component]
fn Ticks(strips: [CellStrip; 2]) -> impl IntoView {
    let row = |strip: CellStrip, class: &'static str| {
        let ticks = move || {
            strip.target.frames.with(|frames| {
                let tick = |timestep: f32, model| {
                    let place = (NOISE - f64::from(timestep)) / NOISE * 100.0;
                    view! {
                        <i
                            class=format!("model-{}", model_key(model))
                            style=format!("inset-inline-start:{place:.2}%")
                        ></i>
                    }
                };
                let ticks = frames.iter().map(|frame| tick(frame.timestep, frame.model));
                ticks.collect_view()
            })
        };
        view! { <span class=class>{ticks}</span> }
    };
    view! {
        <div class="transport-ticks" aria-hidden="true">
            {row(strips[0], "ticks-upper")} {row(strips[1], "ticks-lower")}
        </div>
    }
}

/// A way to show the frames, on or off.
#[component]
fn Toggle(label: &'static str, handle: &'static str, value: RwSignal<bool>) -> impl IntoView {
    view! {
        <label class="transport-toggle">
            <input
                type="checkbox"
                data-testid=handle
                prop:checked=move || value.get()
                on:change=move |event| value.set(event_target_checked(&event))
            />
            {label}
        </label>
    }
}
