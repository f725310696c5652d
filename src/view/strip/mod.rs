//! Where a strip stands at a timestep, and what is told of it: which step is shown, how two frames
//! are blended, which cell a strip is compared with, the region that is followed through the steps,
//! and the curve of the paper's Figure 5 as text.
//!
//! Two runs of different numbers of steps share no index but the timestep, from pure noise (1000)
//! down to the picture (0): every position here is one.
//!
//! The folder knows neither the browser nor burn. `src/page/strip` shows what it says.

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
