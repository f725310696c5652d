//! Structural similarity of two pictures at several scales, and the distance made of it.
//!
//! SSIM (Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
//! structural similarity", 2004) compares the means μ, variances σ² and covariance σ₁₂ of two
//! pictures within a window that slides over both:
//!
//! ```text
//! l  = (2·μ₁·μ₂ + C₁) / (μ₁² + μ₂² + C₁)       luminance
//! cs = (2·σ₁₂ + C₂) / (σ₁² + σ₂² + C₂)         contrast and structure
//! ```
//!
//! with C₁ = 0.01² and C₂ = 0.03² for values in 0…1. MS-SSIM (Wang, Simoncelli and Bovik,
//! "Multiscale structural similarity for image quality assessment", 2003) does so at five scales,
//! each half as large as the one before, and multiplies the mean cs of each scale and the mean
//! l·cs of the coarsest, each to the power of its weight.
//!
//! What the papers leave open, or what small pictures ask for:
//!
//! - Windows are Gaussian, 11 × 11 with σ = 1.5, and only those count that lie within the picture.
//! - There are as many of the five scales as have room for a window: 1 from 11 pixels of the
//!   shorter side on, 2 from 22, 3 from 44 (so for 64), 4 from 88, all from 176. Their weights are
//!   the first of the paper's five, divided by their sum. The coarsest scale that is left is the one
//!   whose l counts.
//! - A scale is halved by the means of 2 × 2 pixels.
//! - A mean that is negative (structure inverted) counts as 0, as it has no real power.

use super::error::MetricsError;
use super::plane::{Channel, Plane, check_same_size};
use crate::picture::image::ImageView;

/// Taps of the window along each axis, and so the least width and height of a picture.
pub const WINDOW: usize = 11;
/// Standard deviation of the Gaussian window, in pixels.
pub const SIGMA: f64 = 1.5;
/// Weights of the five scales from the finest to the coarsest (Wang, Simoncelli and Bovik, 2003).
pub const SCALE_WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// Weights of luma, blue chroma and red chroma (Wang, Lu and Bovik, "Video quality assessment based
/// on structural distortion measurement", 2004).
pub const CHANNEL_WEIGHTS: [f64; 3] = [0.8, 0.1, 0.1];

/// Keeps the luminance of dark windows finite: (K₁·L)² of the paper with K₁ = 0.01, L = 1.
const C1: f64 = 0.01 * 0.01;
/// Keeps contrast and structure of flat windows finite: (K₂·L)² of the paper with K₂ = 0.03, L = 1.
const C2: f64 = 0.03 * 0.03;
/// Taps on each side of the window's centre.
const RADIUS: usize = WINDOW / 2;
/// Windowed averages that SSIM needs: x, y, x² + y² and x·y.
const AVERAGES: usize = 4;

/// Means over all windows of one channel at one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleSimilarity {
    /// Of l·cs: the SSIM of this scale.
    pub ssim: f64,
    /// Of cs, contrast and structure without luminance.
    pub contrast_structure: f64,
}

/// How far two pictures of the same size are apart: the mean of 1 − MS-SSIM of luma, blue chroma
/// and red chroma (BT.601), by [`CHANNEL_WEIGHTS`]. 0 for the same picture, 1 at most.
///
/// # Errors
/// If the sizes differ, or a side is shorter than [`WINDOW`].
pub fn structural_dissimilarity(
    first: ImageView<'_>,
    second: ImageView<'_>,
) -> Result<f64, MetricsError> {
    let similarities = scale_similarities(first, second)?;
    Ok(similarities
        .iter()
        .zip(CHANNEL_WEIGHTS)
        .map(|(scales, weight)| weight * (1.0 - ms_ssim(scales)))
        .sum())
}

/// Similarities at each scale, the finest first, of luma, blue chroma and red chroma.
///
/// # Errors
/// If the sizes differ, or a side is shorter than [`WINDOW`].
pub fn scale_similarities(
    first: ImageView<'_>,
    second: ImageView<'_>,
) -> Result<[Vec<ScaleSimilarity>; 3], MetricsError> {
    check_same_size(first, second)?;
    let (width, height) = (first.width(), first.height());
    let scales = scale_count(width.min(height));
    if scales == 0 {
        return Err(MetricsError::TooSmall {
            width,
            height,
            minimum: WINDOW,
        });
    }
    let window = gaussian_window();
    Ok(Channel::ALL.map(|channel| {
        let (mut first, mut second) = (Plane::of(first, channel), Plane::of(second, channel));
        let mut similarities = vec![similarity(&first, &second, &window)];
        for _ in 1..scales {
            (first, second) = (first.halved(), second.halved());
            similarities.push(similarity(&first, &second, &window));
        }
        similarities
    }))
}

/// MS-SSIM of one channel from its scales, the finest first: 1 for the same picture, 0 at least.
/// Scales beyond the five of [`SCALE_WEIGHTS`] don't count.
pub fn ms_ssim(scales: &[ScaleSimilarity]) -> f64 {
    let weights = &SCALE_WEIGHTS[..scales.len().min(SCALE_WEIGHTS.len())];
    let sum: f64 = weights.iter().sum();
    let coarsest = weights.len().saturating_sub(1);
    weights
        .iter()
        .zip(scales)
        .enumerate()
        .map(|(scale, (weight, similarity))| {
            let mean = if scale == coarsest {
                similarity.ssim
            } else {
                similarity.contrast_structure
            };
            mean.max(0.0).powf(weight / sum)
        })
        .product()
}

/// Scales, five at most, at which a window fits the shorter side.
fn scale_count(mut side: u32) -> usize {
    let mut count = 0;
    while count < SCALE_WEIGHTS.len() && side as usize >= WINDOW {
        count += 1;
        side /= 2;
    }
    count
}

/// Taps along one axis; they add up to 1.
fn gaussian_window() -> [f64; WINDOW] {
    let taps: [f64; WINDOW] = std::array::from_fn(|tap| {
        let distance = tap.abs_diff(RADIUS) as f64 / SIGMA;
        (-0.5 * distance * distance).exp()
    });
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| tap / sum)
}

/// Similarity of two planes of the same size, which is at least that of the window.
///
/// The window is a product of its two axes. Each row is averaged along its length as it is reached,
/// and the averages of the last rows, as many as the window has, are then averaged across: what is
/// kept beside the planes is a few rows.
fn similarity(first: &Plane, second: &Plane, window: &[f64; WINDOW]) -> ScaleSimilarity {
    let columns = first.width - 2 * RADIUS;
    // Rows of the averages side by side.
    let line = AVERAGES * columns;
    let mut recent = vec![0.0; WINDOW * line];
    let mut averages = vec![0.0; line];
    let mut squares = vec![0.0; first.width];
    let mut products = vec![0.0; first.width];
    let (mut ssim, mut contrast_structure) = (0.0, 0.0);
    for row in 0..first.height {
        let (x, y) = (first.row(row), second.row(row));
        for (((square, product), x), y) in squares.iter_mut().zip(&mut products).zip(x).zip(y) {
            *square = x * x + y * y;
            *product = x * y;
        }
        let newest = &mut recent[row % WINDOW * line..][..line];
        for (output, input) in newest
            .chunks_exact_mut(columns)
            .zip([x, y, &squares, &products])
        {
            average_along(input, window, output);
        }
        if row + 1 < WINDOW {
            continue;
        }
        average_across(&recent, row + 1, window, &mut averages);
        let (means, moments) = averages.split_at(2 * columns);
        let (mean_x, mean_y) = means.split_at(columns);
        let (mean_squares, mean_products) = moments.split_at(columns);
        for (((x, y), squares), product) in mean_x
            .iter()
            .zip(mean_y)
            .zip(mean_squares)
            .zip(mean_products)
        {
            let means_product = x * y;
            let means_squares = x * x + y * y;
            let covariance = product - means_product;
            let variances = squares - means_squares;
            let luminance = (2.0 * means_product + C1) / (means_squares + C1);
            let structure = (2.0 * covariance + C2) / (variances + C2);
            ssim += luminance * structure;
            contrast_structure += structure;
        }
    }
    let windows = (columns * (first.height - 2 * RADIUS)) as f64;
    ScaleSimilarity {
        ssim: ssim / windows,
        contrast_structure: contrast_structure / windows,
    }
}

/// Averages of the window along a row, at each place where it fits.
fn average_along(input: &[f64], window: &[f64; WINDOW], output: &mut [f64]) {
    for (output, values) in output.iter_mut().zip(input.array_windows::<WINDOW>()) {
        // The window is symmetric: both ends share a tap.
        let mut sum = window[RADIUS] * values[RADIUS];
        for tap in 0..RADIUS {
            sum += window[tap] * (values[tap] + values[WINDOW - 1 - tap]);
        }
        *output = sum;
    }
}

/// Averages of the window across the last rows, of which the oldest is at `oldest % WINDOW`.
fn average_across(recent: &[f64], oldest: usize, window: &[f64; WINDOW], output: &mut [f64]) {
    let length = output.len();
    let row = |tap: usize| &recent[(oldest + tap) % WINDOW * length..][..length];
    for (output, value) in output.iter_mut().zip(row(RADIUS)) {
        *output = window[RADIUS] * value;
    }
    for (tap, weight) in window[..RADIUS].iter().enumerate() {
        for ((output, above), below) in output.iter_mut().zip(row(tap)).zip(row(WINDOW - 1 - tap)) {
            *output += weight * (above + below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::image::PixelFormat;
    use crate::sampler::TorchGenerator;

    const SIDE: u32 = 64;

    /// A red disc of a quarter of the width on a blue gradient.
    fn disc(center: [f64; 2]) -> Vec<[f64; 3]> {
        (0..SIDE * SIDE)
            .map(|index| {
                let (x, y) = (f64::from(index % SIDE), f64::from(index / SIDE));
                let distance = (x - center[0]).hypot(y - center[1]);
                if distance < f64::from(SIDE) / 4.0 {
                    [0.9, 0.2 + y / 200.0, 0.1]
                } else {
                    [0.3, 0.4, 0.4 + x / 150.0]
                }
            })
            .collect()
    }

    /// Stripes, which have nothing in common with a disc.
    fn stripes() -> Vec<[f64; 3]> {
        (0..SIDE * SIDE)
            .map(|index| match (index % SIDE + index / SIDE) / 8 % 2 {
                0 => [0.1, 0.6, 0.2],
                _ => [0.9, 0.9, 0.5],
            })
            .collect()
    }

    fn bytes(pixels: &[[f64; 3]]) -> Vec<u8> {
        pixels
            .iter()
            .flat_map(|&[red, green, blue]| [red, green, blue, 1.0])
            .map(|value| (value.clamp(0.0, 1.0) * 255.0).round() as u8)
            .collect()
    }

    fn distance(first: &[[f64; 3]], second: &[[f64; 3]]) -> f64 {
        let (first, second) = (bytes(first), bytes(second));
        let image = |rgba| ImageView::new(SIDE, SIDE, PixelFormat::Rgba, rgba).expect("a square");
        structural_dissimilarity(image(&first), image(&second)).expect("a distance")
    }

    #[test]
    fn a_picture_is_at_no_distance_from_itself() {
        for picture in [disc([32.0, 32.0]), stripes()] {
            assert_eq!(distance(&picture, &picture), 0.0);
        }
    }

    #[test]
    fn the_distance_is_symmetric() {
        let (disc, stripes) = (disc([30.0, 34.0]), stripes());
        assert_eq!(distance(&disc, &stripes), distance(&stripes, &disc));
    }

    #[test]
    fn more_noise_is_farther() {
        let picture = disc([32.0, 32.0]);
        let noise = TorchGenerator::new(7).randn(picture.len() * 3);
        let mut nearer = 0.0;
        for strength in [0.01, 0.03, 0.1, 0.3] {
            let noisy: Vec<[f64; 3]> = picture
                .iter()
                .zip(noise.as_chunks::<3>().0)
                .map(|(pixel, noise)| {
                    std::array::from_fn(|i| pixel[i] + strength * f64::from(noise[i]))
                })
                .collect();
            let farther = distance(&picture, &noisy);
            assert!(farther > nearer, "noise of {strength}: {farther}");
            nearer = farther;
        }
    }

    /// Means of squares of pixels around each; edges take what is there.
    fn blurred(picture: &[[f64; 3]], radius: i64) -> Vec<[f64; 3]> {
        let side = i64::from(SIDE);
        (0..side * side)
            .map(|index| {
                let (x, y) = (index % side, index / side);
                let near = |at: i64| (at - radius).max(0)..=(at + radius).min(side - 1);
                let mut sum = [0.0; 3];
                let mut count = 0.0;
                for row in near(y) {
                    for column in near(x) {
                        let pixel = picture[(row * side + column) as usize];
                        sum = std::array::from_fn(|i| sum[i] + pixel[i]);
                        count += 1.0;
                    }
                }
                sum.map(|sum| sum / count)
            })
            .collect()
    }

    #[test]
    fn more_blur_is_farther() {
        for picture in [disc([32.0, 32.0]), stripes()] {
            let mut nearer = 0.0;
            for radius in 1..=4 {
                let farther = distance(&picture, &blurred(&picture, radius));
                assert!(farther > nearer, "blur of {radius}: {farther}");
                nearer = farther;
            }
        }
    }

    #[test]
    fn a_shifted_picture_is_nearer_than_another() {
        let picture = disc([32.0, 32.0]);
        let little = distance(&picture, &disc([33.0, 32.0]));
        let more = distance(&picture, &disc([36.0, 34.0]));
        let other = distance(&picture, &stripes());
        assert!(
            0.0 < little && little < more && more < other,
            "{little}, {more}, {other}"
        );
    }

    #[test]
    fn another_color_of_the_same_luma_is_seen() {
        // The luma of both is 0.5.
        let gray = vec![[0.5, 0.5, 0.5]; (SIDE * SIDE) as usize];
        let blue = vec![[0.4, 0.474, 0.896]; (SIDE * SIDE) as usize];
        let found = distance(&gray, &blue);
        assert!(found > 0.001, "{found}");
    }

    #[test]
    fn inverted_structure_is_the_farthest() {
        let picture = stripes();
        let inverted: Vec<_> = picture.iter().map(|x| x.map(|x| 1.0 - x)).collect();
        let found = distance(&picture, &inverted);
        assert!(found > 0.9 && found <= 1.0, "{found}");
    }

    #[test]
    fn smaller_pictures_have_fewer_scales() {
        let sides = [10, 11, 21, 22, 43, 44, 64, 87, 88, 175, 176, 1024];
        let counts = sides.map(scale_count);
        assert_eq!(counts, [0, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5]);
    }

    #[test]
    fn weights_of_fewer_scales_add_up_to_one() {
        let similarity = ScaleSimilarity {
            ssim: 0.25,
            contrast_structure: 0.25,
        };
        for scales in 1..=5 {
            let found = ms_ssim(&vec![similarity; scales]);
            // A few roundings of a power.
            assert!((found - 0.25).abs() < 1e-12, "{scales} scales: {found}");
        }
    }

    #[test]
    fn pictures_that_can_not_be_compared_are_refused_in_a_sentence() {
        let bytes = vec![0; 4 * 64 * 64];
        let image = |width: u32, height: u32| {
            let bytes = &bytes[..(4 * width * height) as usize];
            ImageView::new(width, height, PixelFormat::Rgba, bytes).expect("enough bytes")
        };
        let refusal = |first, second| {
            structural_dissimilarity(first, second)
                .expect_err("not comparable")
                .to_string()
        };
        assert_eq!(
            refusal(image(64, 64), image(64, 32)),
            "A picture of 64 × 64 pixels can't be compared with one of 64 × 32. Draw both at the \
             same size."
        );
        assert_eq!(
            refusal(image(64, 10), image(64, 10)),
            "Pictures of 64 × 10 pixels are too small to compare: each side needs at least 11. \
             Draw them larger."
        );
        assert!(structural_dissimilarity(image(11, 11), image(11, 11)).is_ok());
    }
}
