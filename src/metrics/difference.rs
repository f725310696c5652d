//! Where two pictures differ, for a heat map.

use super::error::MetricsError;
use super::plane::check_same_size;
use crate::picture::image::ImageView;

/// |frame − last| at each pixel, `[height, width]`: the mean of the absolute differences of red,
/// green and blue, from 0 (the same) to 1 (black against white).
///
/// # Errors
/// If the sizes differ.
pub fn absolute_difference(
    frame: ImageView<'_>,
    last: ImageView<'_>,
) -> Result<Vec<f32>, MetricsError> {
    check_same_size(frame, last)?;
    let differences = frame.colours().zip(last.colours()).map(|(a, b)| {
        let sum: u16 = a.iter().zip(b).map(|(a, b)| u16::from(a.abs_diff(b))).sum();
        f32::from(sum) / (3.0 * 255.0)
    });
    Ok(differences.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::image::PixelFormat;

    #[test]
    fn it_is_the_mean_over_the_channels() {
        let first = [0, 0, 0, 255, 10, 20, 30, 255, 9, 9, 9, 255];
        let second = [255, 255, 255, 255, 40, 20, 0, 255, 9, 9, 9, 0];
        let image = |rgba| ImageView::new(3, 1, PixelFormat::Rgba, rgba).expect("three pixels");
        let expected = [1.0, 60.0 / 765.0, 0.0];
        for (a, b) in [(&first, &second), (&second, &first)] {
            let found = absolute_difference(image(a), image(b)).expect("a difference");
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn pictures_of_other_sizes_are_refused() {
        let bytes = [0; 24];
        let image = |width, height| {
            ImageView::new(width, height, PixelFormat::Rgba, &bytes).expect("six pixels")
        };
        let error = absolute_difference(image(3, 2), image(2, 3)).expect_err("another size");
        assert!(error.to_string().contains("3 × 2"), "{error}");
    }
}
