//! Figures as data, and as SVG.
//!
//! A figure is readable in dark, in print and without colours: series differ in their marks and dashes
//! too. `<title>` and `<desc>` tell a screen reader what is shown; its numbers stand in the table beside
//! it.

mod data;
mod svg;
#[cfg(test)]
mod tests;
mod ticks;

pub use data::{Axis, Figure, Places, Point, Series};
pub use svg::{PaperFigure, svg, svg_on_paper};
