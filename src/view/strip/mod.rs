//! What the strip panel computes: which step a strip shows at a position, how two frames are blended,
//! which cell a strip is compared with, the region that is followed through the steps, and the curve
//! of the paper's Figure 5 as text.
//!
//! A position is a timestep, from pure noise (1000) down to the picture (0): strips of different
//! numbers of steps have nothing else in common. `src/page/strip` shows the results.

mod partner;
mod pixels;
mod position;
mod region;
mod report;

pub use partner::{other_than, partner};
pub use pixels::{difference_frame, mix};
pub use position::{Blend, NOISE, Playback, blend, delays, next, previous, shown, union};
pub use region::Region;
pub use report::{Curve, MEASURE, axis_top, csv, json};
