//! One of the two strips.

use std::sync::Arc;

use leptos::prelude::*;

use super::cell_strip::CellStrip;
use super::film::Film;
use super::paint::PaintQueue;
use super::player::Player;
use super::region_tool::RegionTool;
use super::strip_to_save::StripToSave;
use super::transport::Transport;
use crate::page::workers::grid::CellState;
use crate::picture::image::Image;
use crate::protocol::engine::StripView;
use crate::recipe::CellAddress;
use crate::view::strip::delays;

/// How the frames of both strips are shown.
#[derive(Clone, Copy)]
pub struct DisplayOptions {
    /// Whether the standard view stands above the targets.
    pub sample: RwSignal<bool>,
    /// Whether each frame's difference to the final picture is shown in its place.
    pub difference: RwSignal<bool>,
}

/// What the page does with a strip's cell; none leaves the button out.
#[derive(Clone, Copy)]
pub struct SaveActions {
    pub on_save_image: Option<Callback<CellAddress>>,
    pub on_save_strip: Option<Callback<StripToSave>>,
    pub on_save_strip_sheet: Option<Callback<StripToSave>>,
    pub on_redraw: Option<Callback<CellAddress>>,
}

/// A strip with its name, its large picture and its frames.
#[component]
pub fn StripSection(
    strip: CellStrip,
    options: DisplayOptions,
    actions: SaveActions,
    region: RegionTool,
    paint: PaintQueue,
    transport: Transport,
) -> impl IntoView {
    let current = Memo::new(move |_| strip.blend.with(|blend| blend.step));
    let name = Memo::new(move |_| {
        strip
            .cell
            .with(|cell| cell.as_ref().map(|cell| cell.name()).unwrap_or_default())
    });
    // Whole pictures are compared by where they lie.
    let differs_from = Memo::new_with_compare(
        move |_| {
            let last = || strip.target.last();
            options.difference.get().then(last).flatten()
        },
        |before: Option<&Option<Arc<Image>>>, now: Option<&Option<Arc<Image>>>| {
            let place = |frame: Option<&Option<Arc<Image>>>| {
                frame.and_then(Option::as_ref).map(Arc::as_ptr)
            };
            before.is_none() || place(before) != place(now)
        },
    );
    let view_label = move |view| {
        Signal::derive(move || match view {
            StripView::Target => format!("{}, Diffusion Target", name.get()),
            StripView::Sample => format!("{}, standard view", name.get()),
        })
    };
    let player = move |view, decoded, handle| {
        view! {
            <Player
                handle=handle
                label=view_label(view)
                decoded=decoded
                view=view
                blend=strip.blend
                differs_from=differs_from
                region=region
            />
        }
    };
    let film = move |view, decoded| {
        view! {
            <Film
                handle=strip.handle
                label=view_label(view)
                cell=strip.cell
                decoded=decoded
                view=view
                current=current
                differs_from=differs_from
                region=region
                paint=paint
                transport=transport
            />
        }
    };
    let key = move || {
        strip
            .cell
            .with(|cell| cell.as_ref().map(|cell| cell.cell.key.clone()))
    };
    let sample_player = move || {
        let handle = format!("{}-player-standard", strip.handle);
        options
            .sample
            .get()
            .then(|| player(StripView::Sample, strip.sample, handle))
    };
    let sample_film = move || {
        options.sample.get().then(|| {
            view! {
                <p class="strip-row-name">
                    <b>"Standard view"</b>
                    " the noisy latent that the model was given"
                </p>
                {film(StripView::Sample, strip.sample)}
            }
        })
    };
    let target_name = move || {
        options.sample.get().then(|| {
            view! {
                <p class="strip-row-name">
                    <b>"Diffusion Target"</b>
                    " the picture that it aimed at"
                </p>
            }
        })
    };
    let aspect = move || {
        strip.cell.with(|open| {
            let (width, height) = open.as_ref()?.grid.image_size;
            Some(format!("--image-aspect:{width}/{height}"))
        })
    };
    view! {
        <article
            class="strip-run"
            style=aspect
            data-testid=strip.handle
            data-cell=key
            aria-label=move || format!("Strip of {}", name.get())
        >
            <header class="strip-run-header">
                <h3>{name}</h3>
                <SaveButtons strip=strip actions=actions transport=transport />
            </header>
            <div class="strip-players">
                {sample_player}
                {player(StripView::Target, strip.target, format!("{}-player", strip.handle))}
            </div>
            <div class="strip-films">
                <StripStatus strip=strip options=options on_redraw=actions.on_redraw />
                {sample_film} {target_name} {film(StripView::Target, strip.target)}
            </div>
        </article>
    }
}

/// What there is to say before all frames are there, or instead of them.
#[component]
fn StripStatus(
    strip: CellStrip,
    options: DisplayOptions,
    on_redraw: Option<Callback<CellAddress>>,
) -> impl IntoView {
    let problem = move || {
        strip
            .target
            .problem
            .get()
            .or_else(|| strip.sample.problem.get())
    };
    let words = Memo::new(move |_| {
        if problem().is_some() {
            return None;
        }
        let cell = strip.cell.get()?;
        let (state, step) = cell.cell.view.with(|view| (view.state, view.step));
        let frames = strip.target.frames.with(Vec::len);
        if strip.target.is_complete.get() && state == CellState::Done {
            return None;
        }
        if frames == 0 {
            let words = match state {
                CellState::Waiting if step.is_none() => {
                    "Its turn has not come yet. Its steps show up here as they are taken."
                }
                CellState::Cancelled | CellState::Failed if step.is_none() => {
                    "None of its steps was taken."
                }
                _ => "Its steps are being decoded…",
            };
            return Some(words.to_owned());
        }
        let steps = step.map_or(0, |step| step.steps);
        let unfinished = if options.difference.get() {
            " Differences show once its picture is finished."
        } else {
            ""
        };
        Some(format!("{frames} of {steps} steps so far.{unfinished}"))
    });
    let redraw = move || {
        let on_redraw = on_redraw?;
        let address = strip
            .cell
            .with(|cell| cell.as_ref().map(|cell| cell.address()))?;
        Some(view! {
            <button type="button" data-testid="strip-redraw" on:click=move |_| on_redraw.run(address)>
                "Draw it again"
            </button>
        })
    };
    view! {
        <p class="strip-standing" role="status">
            {words}
        </p>
        {move || {
            problem()
                .map(|sentence| {
                    view! {
                        <div class="problem" role="alert">
                            <span>{sentence}</span>
                            {redraw}
                        </div>
                    }
                })
        }}
    }
}

/// The picture and the strip as files.
#[component]
fn SaveButtons(strip: CellStrip, actions: SaveActions, transport: Transport) -> impl IntoView {
    let address = move || {
        strip
            .cell
            .with_untracked(|cell| cell.as_ref().map(|cell| cell.address()))
    };
    let to_save = move || {
        let frames = strip.target.frames.get_untracked();
        let timesteps: Vec<f32> = frames.iter().map(|frame| frame.timestep).collect();
        Some(StripToSave {
            cell: address()?,
            view: StripView::Target,
            delay_milliseconds: delays(&timesteps, transport.speed.get_untracked()),
            frames,
        })
    };
    let has_no_frames = move || strip.target.frames.with(Vec::is_empty);
    let strip_button = move |label, name: &'static str, on_save: Option<Callback<StripToSave>>| {
        on_save.map(|on_save| {
            view! {
                <button
                    type="button"
                    class="chip"
                    data-testid=format!("{}-{name}", strip.handle)
                    disabled=has_no_frames
                    on:click=move |_| {
                        if let Some(to_save) = to_save() {
                            on_save.run(to_save);
                        }
                    }
                >
                    {label}
                </button>
            }
        })
    };
    let image_button = actions.on_save_image.map(|on_save| {
        view! {
            <button
                type="button"
                class="chip"
                data-testid=format!("{}-save-image", strip.handle)
                disabled=move || !strip.is_done()
                on:click=move |_| {
                    if let Some(address) = address() {
                        on_save.run(address);
                    }
                }
            >
                "Save image"
            </button>
        }
    });
    view! {
        <div class="strip-saving">
            {image_button} {strip_button("Save animation", "save-strip", actions.on_save_strip)}
            {strip_button("Save strip", "save-strip-sheet", actions.on_save_strip_sheet)}
        </div>
    }
}
