//! How pictures of any size are measured, so that all who measure them have the same numbers.

use super::error::MetricsError;
use super::ssim::structural_dissimilarity;
use crate::picture::image::Image;

/// What the distance is, in words.
pub const MEASURE: &str =
    "structural dissimilarity, 1 − MS-SSIM on luma and chroma: a proxy, not DreamSim";

/// The longer side, in pixels, to which pictures are shrunk before their distance is measured: a row
/// has many pairs of pictures.
const MEASURED_SIDE: u32 = 256;

/// The picture shrunk to the size at which distances are measured.
pub fn reduced_to_measure(picture: &Image) -> Image {
    picture.shrunk_to(MEASURED_SIDE)
}

/// The structural dissimilarity of two pictures of [`reduced_to_measure`].
///
/// # Errors
/// As [`structural_dissimilarity`]; the bytes of one are no picture.
pub fn distance(picture: &Image, other: &Image) -> Result<f64, MetricsError> {
    structural_dissimilarity(picture.view()?, other.view()?)
}
