//! What a figure shows.

use serde::{Deserialize, Serialize};

use crate::metrics::Estimate;

/// A figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its name in file names and test handles.
    pub key: String,
    /// What it shows.
    pub title: String,
    /// The same in a sentence or two, with what a point and an interval are.
    pub description: String,
    /// The horizontal axis.
    pub x: Axis,
    /// What stands along it.
    pub places: Places,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn, in the order of the legend.
    pub series: Vec<Series>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What it measures.
    pub title: String,
    /// The unit; empty for a pure number.
    pub unit: String,
    /// Whether it begins at 0, however far from there the numbers are.
    pub is_from_nothing: bool,
}

/// What stands along the horizontal axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Places {
    /// Numbers; points are joined by lines.
    Numbers,
    /// Names, at 0, 1 and so on; points of one name stand side by side.
    Names(Vec<String>),
}

/// Points of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it is called.
    pub name: String,
    /// Its points, from the left.
    pub points: Vec<Point>,
    /// Whether the series has no place on the horizontal axis: its first point is drawn as a line across.
    pub is_level: bool,
}

/// A point with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its place on the horizontal axis.
    pub x: f64,
    /// Its height, with the interval.
    pub y: Estimate,
}

impl Axis {
    /// An axis of a quantity in a unit, or of a pure number.
    pub fn new(title: &str, unit: &str) -> Axis {
        Axis {
            title: title.to_owned(),
            unit: unit.to_owned(),
            is_from_nothing: false,
        }
    }

    /// An axis of a quantity that begins at 0.
    pub fn from_nothing(title: &str, unit: &str) -> Axis {
        Axis {
            is_from_nothing: true,
            ..Axis::new(title, unit)
        }
    }

    /// The axis's label.
    pub fn label(&self) -> String {
        if self.unit.is_empty() {
            self.title.clone()
        } else {
            format!("{} ({})", self.title, self.unit)
        }
    }
}
