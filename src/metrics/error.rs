//! Why pictures can't be measured, as sentences for the visitor.

use crate::picture::image::ImageError;

/// Pictures that don't fit the measure or each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// The bytes are not those of a picture.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Only pictures of one size can be compared.
    #[error(
        "A picture of {first_width} × {first_height} pixels can't be compared with one of {second_width} × {second_height}. Draw both at the same size."
    )]
    DifferentSizes {
        /// Pixels per row of the first picture.
        first_width: u32,
        /// Rows of the first picture.
        first_height: u32,
        /// Pixels per row of the second picture.
        second_width: u32,
        /// Rows of the second picture.
        second_height: u32,
    },
    /// The window of the comparison does not fit.
    #[error(
        "Pictures of {width} × {height} pixels are too small to compare: each side needs at least {minimum}. Draw them larger."
    )]
    TooSmall {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// The least that each side may have.
        minimum: usize,
    },
}
