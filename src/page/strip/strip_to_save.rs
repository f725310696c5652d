//! What the panel gives to whoever saves a strip.

use crate::page::workers::grid::StripStep;
use crate::protocol::engine::StripView;
use crate::recipe::CellAddress;

/// A strip that is to become a file.
#[derive(Clone)]
pub struct StripToSave {
    /// Whose strip it is.
    pub cell: CellAddress,
    /// What its frames show.
    pub view: StripView,
    /// In the order of the steps.
    pub frames: Vec<StripStep>,
    /// How long an animation shows each frame: its share of the timesteps at the chosen speed.
    pub delay_milliseconds: Vec<u16>,
}
