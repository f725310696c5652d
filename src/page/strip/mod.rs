//! The strip panel: what the model was aiming at in each step of a cell, and beneath it of another
//! one, both moving along the timestep.
//!
//! [`DecodedStrip`](decoded_strip::DecodedStrip) asks the engine for frames,
//! [`Transport`](transport::Transport) says where the strips stand,
//! [`RegionTool`](region_tool::RegionTool) which part of the picture is followed, and the components
//! show them. `src/view/strip` computes what they show.

mod beneath_fields;
mod cell_strip;
mod decoded_strip;
mod download;
mod figure;
mod figure_table;
mod film;
mod frame;
mod open_cell;
mod paint;
mod player;
mod region_tool;
mod strip_canvas;
mod strip_section;
pub mod strip_to_save;
mod transport;
mod transport_bar;

use leptos::prelude::*;
use leptos::{ev, html};
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent, Node};

use beneath_fields::BeneathFields;
use cell_strip::CellStrip;
use figure::Figure;
use open_cell::OpenCell;
use paint::PaintQueue;
use region_tool::RegionTool;
use strip_section::{DisplayOptions, SaveActions, StripSection};
use strip_to_save::StripToSave;
use transport::Transport;
use transport_bar::TransportBar;

use super::grid::selection::Selection;
use super::workers::engine::EngineClient;
use crate::recipe::CellAddress;
use crate::view::strip::{partner, union};

/// The strips of the selected cells; nothing where none is selected.
#[component]
pub fn StripPanel(
    engine: EngineClient,
    selection: Selection,
    /// Save a cell's image.
    #[prop(optional, into)]
    on_save_image: Option<Callback<CellAddress>>,
    /// Save a strip as an animation.
    #[prop(optional, into)]
    on_save_strip: Option<Callback<StripToSave>>,
    /// Save a strip as one picture.
    #[prop(optional, into)]
    on_save_strip_sheet: Option<Callback<StripToSave>>,
    /// Compare the images of a column.
    #[prop(optional, into)]
    on_compare: Option<Callback<u32>>,
    /// Draw a cell again whose steps are no longer kept.
    #[prop(optional, into)]
    on_redraw: Option<Callback<CellAddress>>,
) -> impl IntoView {
    let transport = Transport::new();
    let region = RegionTool::new();
    let paint = PaintQueue::new();
    let options = DisplayOptions {
        sample: RwSignal::new(false),
        difference: RwSignal::new(false),
    };
    let opened = Memo::new(move |_| {
        let address = selection.strip.get()?;
        OpenCell::find(&engine.grid.get()?, address)
    });
    let beneath = Memo::new(move |_| {
        let opened = opened.get()?;
        let address = selection.beneath.get()?;
        OpenCell::find(&opened.grid, address).filter(|cell| *cell != opened)
    });
    let strips = [("strip-a", opened), ("strip-b", beneath)].map(|(handle, cell)| {
        CellStrip::new(handle, engine, cell.into(), options.sample, transport)
    });
    let timesteps = Memo::new(move |_| {
        let [upper, lower] = strips.map(|strip| strip.target.timesteps);
        upper.with(|upper| lower.with(|lower| union(&[upper, lower])))
    });

    Effect::new(move |before: Option<Option<OpenCell>>| {
        let now = opened.get();
        let before = before.flatten();
        let is_other = now != before;
        match &now {
            Some(now) if is_other => {
                // Whoever opens a strip may have said what is to lie beneath it.
                let beneath = beneath.get_untracked().filter(|_| before.is_none());
                if beneath.is_none() {
                    let rows: Vec<_> = now.grid.rows.iter().map(|row| row.row.clone()).collect();
                    selection.beneath.set(partner(&rows, now.address()));
                }
                transport.turn_to(strips[0].is_done());
            }
            None if before.is_some() => {
                transport.pause();
                region.clear();
                selection.beneath.set(None);
                // The grid on show may be another one, without this cell.
                selection.strip.set(None);
            }
            _ => {}
        }
        now
    });
    Effect::new(move |_| {
        let is_ready = |strip: &CellStrip| {
            let comes =
                strip.is_open() && strip.is_done() && strip.target.problem.with(Option::is_none);
            !comes || strip.target.is_complete.get()
        };
        if strips[0].target.is_complete.get() && strips.iter().all(is_ready) {
            transport.frames_are_there();
        }
    });

    let actions = SaveActions {
        on_save_image,
        on_save_strip,
        on_save_strip_sheet,
        on_redraw,
    };
    let is_open = Memo::new(move |_| opened.with(Option::is_some));
    move || {
        is_open.get().then(|| {
            view! {
                <Panel
                    selection=selection
                    opened=opened
                    strips=strips
                    timesteps=timesteps
                    transport=transport
                    region=region
                    paint=paint
                    options=options
                    actions=actions
                    on_compare=on_compare
                />
            }
        })
    }
}

/// The open panel.
#[component]
fn Panel(
    selection: Selection,
    opened: Memo<Option<OpenCell>>,
    strips: [CellStrip; 2],
    timesteps: Memo<Vec<f32>>,
    transport: Transport,
    region: RegionTool,
    paint: PaintQueue,
    options: DisplayOptions,
    actions: SaveActions,
    on_compare: Option<Callback<u32>>,
) -> impl IntoView {
    let panel = NodeRef::<html::Section>::new();
    // A strip that opens below the window's end would look as if nothing had happened.
    Effect::new(move |_| {
        if opened.with(Option::is_some) {
            request_animation_frame(move || {
                if let Some(panel) = panel.try_get_untracked().flatten() {
                    let options = web_sys::ScrollIntoViewOptions::new();
                    options.set_block(web_sys::ScrollLogicalPosition::Nearest);
                    panel.scroll_into_view_with_scroll_into_view_options(&options);
                }
            });
        }
    });
    let close = move || {
        let address = opened.with_untracked(|opened| opened.as_ref().map(OpenCell::address));
        selection.strip.set(None);
        if let Some(cell) = address.and_then(cell_element) {
            // The button that had the focus is gone.
            let _ = cell.focus();
        }
    };
    let compare = on_compare.map(|on_compare| {
        let start = move |_| {
            if let Some(opened) = opened.get_untracked() {
                on_compare.run(opened.address().column);
            }
        };
        view! {
            <button type="button" data-testid="strip-compare" on:click=start>
                "Side by side"
            </button>
        }
    });
    // One change here moves the outlines in every frame.
    let outline = move || {
        region.outlined().map(|region| {
            format!(
                "--region-x:{:.4};--region-y:{:.4};--region-width:{:.4};--region-height:{:.4}",
                region.x, region.y, region.width, region.height
            )
        })
    };
    let take_key = move |event: KeyboardEvent| {
        if event.ctrl_key() || event.alt_key() || event.meta_key() || event.is_composing() {
            return;
        }
        let taken = match event.key().as_str() {
            " " if !acts_on_space(&event) => {
                transport.toggle();
                true
            }
            "," => {
                timesteps.with_untracked(|all| transport.step_back(all));
                true
            }
            "." => {
                timesteps.with_untracked(|all| transport.step_on(all));
                true
            }
            "Escape" if region.drawn.with_untracked(Option::is_some) => {
                region.clear();
                true
            }
            "Escape" => {
                close();
                true
            }
            _ => false,
        };
        if taken {
            // Elsewhere Escape cancels the job, and Space scrolls the page.
            event.prevent_default();
        }
    };
    // The cell keeps the focus when its strip opens; Space is a key of its own.
    let at_cell = window_event_listener(ev::keydown, move |event| {
        let address = opened.with_untracked(|opened| opened.as_ref().map(OpenCell::address));
        let cell = address.and_then(cell_element);
        let target = event.target().and_then(|it| it.dyn_into::<Node>().ok());
        let is_at_cell = cell.is_some_and(|cell| cell.is_same_node(target.as_ref()));
        if is_at_cell && matches!(event.key().as_str(), "," | "." | "Escape") {
            take_key(event);
        }
    });
    on_cleanup(move || at_cell.remove());
    let has_lower = Memo::new(move |_| strips[1].is_open());
    let lower = move || {
        has_lower.get().then(|| {
            view! {
                <StripSection
                    strip=strips[1]
                    options=options
                    actions=actions
                    region=region
                    paint=paint
                    transport=transport
                />
            }
        })
    };
    view! {
        <section
            node_ref=panel
            class="strip-panel"
            class:has-region=move || region.outlined().is_some()
            style=outline
            data-testid="strip-panel"
            aria-labelledby="strip-heading"
            on:keydown=take_key
        >
            <header class="strip-header">
                <div>
                    <h2 id="strip-heading">"Step by step"</h2>
                    <p class="help">
                        "What the model was aiming at in each step: its guess, made from the noise \
                         of that moment, of the finished picture (the Diffusion Target). Watch when \
                         a part of it is decided."
                    </p>
                </div>
                <div class="strip-actions">
                    {compare}
                    <button type="button" data-testid="strip-close" on:click=move |_| close()>
                        "Close"
                    </button>
                </div>
            </header>
            <StripSection
                strip=strips[0]
                options=options
                actions=actions
                region=region
                paint=paint
                transport=transport
            />
            <BeneathFields
                opened=opened
                beneath=Signal::derive(move || {
                    strips[1].cell.with(|cell| cell.as_ref().map(OpenCell::address))
                })
                on_choose=Callback::new(move |cell| selection.beneath.set(cell))
            />
            {lower}
            <TransportBar
                transport=transport
                strips=strips
                timesteps=timesteps
                options=options
                region=region
            />
            <p class="help" id="strip-region-help">
                "Drag over a picture to draw a box and follow it through the steps. With a large \
                 picture focused, arrow keys move it, Shift and arrow keys resize it, Escape clears \
                 it. Space plays and pauses, comma and full stop go step by step, Escape closes the \
                 strip."
            </p>
            <Show when=move || options.difference.get()>
                <p class="help">
                    "Black is as in the final picture already; the brighter, the more was still to \
                     change."
                </p>
            </Show>
            <Figure strips=strips />
        </section>
    }
}

/// Whether the element with the focus has a use of its own for the space key.
fn acts_on_space(event: &KeyboardEvent) -> bool {
    let element = event
        .target()
        .and_then(|target| target.dyn_into::<Element>().ok());
    element.is_some_and(|element| {
        let own = element.closest("button, select, summary, a, textarea, input:not([type=range])");
        own.is_ok_and(|own| own.is_some())
    })
}

/// The element of a cell of the grid on show.
fn cell_element(cell: CellAddress) -> Option<HtmlElement> {
    let selector = format!(
        "[role=\"gridcell\"][data-row=\"{}\"][data-column=\"{}\"]",
        cell.row, cell.column
    );
    let element = document().query_selector(&selector).ok()??;
    element.dyn_into().ok()
}
