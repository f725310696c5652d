//! A cell with its decoded steps, in both views.

use leptos::prelude::*;

use super::decoded_strip::DecodedStrip;
use super::open_cell::OpenCell;
use super::transport::Transport;
use crate::page::workers::engine::EngineClient;
use crate::page::workers::grid::CellState;
use crate::protocol::engine::StripView;
use crate::view::strip::{Blend, Curve, blend, shown};

/// The upper or the lower strip.
#[derive(Clone, Copy)]
pub struct CellStrip {
    /// Its `data-testid`.
    pub handle: &'static str,
    pub cell: Signal<Option<OpenCell>>,
    /// The Diffusion Targets.
    pub target: DecodedStrip,
    /// The standard view, while it is asked for.
    pub sample: DecodedStrip,
    /// What is shown at the transport's position, in either view.
    pub blend: Memo<Blend>,
}

impl CellStrip {
    /// The strip of whatever cell this is.
    pub fn new(
        handle: &'static str,
        engine: EngineClient,
        cell: Signal<Option<OpenCell>>,
        shows_sample: RwSignal<bool>,
        transport: Transport,
    ) -> CellStrip {
        let target = DecodedStrip::new(engine, cell, StripView::Target);
        let sampled = Signal::derive(move || cell.get().filter(|_| shows_sample.get()));
        let timesteps = target.timesteps;
        CellStrip {
            handle,
            cell,
            target,
            sample: DecodedStrip::new(engine, sampled, StripView::Sample),
            blend: Memo::new(move |_| {
                let position = transport.position.get();
                timesteps.with(|timesteps| {
                    if transport.fades.get() {
                        blend(timesteps, position)
                    } else {
                        Blend {
                            step: shown(timesteps, position),
                            next: 0.0,
                        }
                    }
                })
            }),
        }
    }

    pub fn is_open(&self) -> bool {
        self.cell.with(Option::is_some)
    }

    /// Whether the cell's image is there.
    pub fn is_done(&self) -> bool {
        self.cell.with(|cell| {
            cell.as_ref()
                .is_some_and(|cell| cell.cell.view.with(|view| view.state == CellState::Done))
        })
    }

    /// The curve of its distances, once they are known.
    pub fn curve(&self) -> Option<Curve> {
        let cell = self.cell.get()?;
        let distances = self.target.distances.get()?;
        self.target.frames.with(|frames| {
            Some(Curve {
                row: cell.row,
                seed: cell.cell.seed,
                prompt: cell.prompt,
                timesteps: frames.iter().map(|frame| frame.timestep).collect(),
                models: frames.iter().map(|frame| frame.model).collect(),
                distances,
            })
        })
    }

    /// The step that is shown, in words: “step 3 of 8, timestep 626, base model”.
    pub fn words(&self) -> Option<String> {
        let index = self.blend.with(|blend| blend.step);
        self.target
            .frames
            .with(|frames| frames.get(index).map(super::frame::step_words))
    }
}
