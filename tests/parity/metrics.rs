//! Structural similarity against scikit-image, on the pairs of pictures that
//! `tools/reference/metrics.py` also draws.

use firststep::metrics::{ScaleSimilarity, ms_ssim, scale_similarities, structural_dissimilarity};
use firststep::picture::image::{ImageView, PixelFormat};
use serde::Deserialize;

/// Absolute, of values up to 1. Both sides compute in double precision; the difference of a mean
/// square and a squared mean, divided by (0.03)², multiplies its rounding by about a thousand.
const TOLERANCE: f64 = 1e-10;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    width: u32,
    height: u32,
    first: Drawing,
    second: Drawing,
    ssim: [Vec<f64>; 3],
    contrast_structure: [Vec<f64>; 3],
    ms_ssim: [f64; 3],
    dissimilarity: f64,
}

#[derive(Deserialize)]
struct Drawing {
    color: [i64; 3],
    shift: i64,
    noise: i64,
}

impl Drawing {
    /// RGBA bytes of the picture, the same as in the reference script.
    fn draw(&self, width: u32, height: u32) -> Vec<u8> {
        let (width, height) = (i64::from(width), i64::from(height));
        let radius = width.min(height) / 3;
        let mut rgba = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let background = [x * 255 / (width - 1), y * 255 / (height - 1), 128];
                let squares = (x - width / 2 - self.shift).pow(2) + (y - height / 2).pow(2);
                for (channel, background) in background.into_iter().enumerate() {
                    let value = if squares < radius * radius {
                        self.color[channel] + (x / 3 + y / 5) % 2 * 30
                    } else {
                        background
                    };
                    let noise = self.noise_at(x, y, channel as i64);
                    rgba.push((value + noise).clamp(0, 255) as u8);
                }
                rgba.push(255);
            }
        }
        rgba
    }

    fn noise_at(&self, x: i64, y: i64, channel: i64) -> i64 {
        let place = x * 374_761_393 + y * 668_265_263 + channel * 974_634_777 + self.noise;
        let bits = place as u32;
        let bits = (bits ^ (bits >> 13)).wrapping_mul(1_274_126_177);
        i64::from(bits >> 16) % (2 * self.noise + 1) - self.noise
    }
}

#[test]
fn similarities_are_scikit_images() {
    let reference: Reference =
        serde_json::from_str(include_str!("values/metrics.json")).expect("the values parse");
    let mut scale_counts = Vec::new();
    let mut largest = 0.0;
    for case in &reference.cases {
        let [first, second] =
            [&case.first, &case.second].map(|drawing| drawing.draw(case.width, case.height));
        let [first, second] = [&first, &second].map(|rgba| {
            ImageView::new(case.width, case.height, PixelFormat::Rgba, rgba)
                .expect("the bytes of the size")
        });
        let mut compare = |what: &str, found: f64, expected: f64| {
            let difference = (found - expected).abs();
            assert!(
                difference <= TOLERANCE,
                "{}: {what} is {found} instead of {expected}",
                case.name
            );
            largest = f64::max(largest, difference);
        };
        let channels = scale_similarities(first, second).expect("comparable pictures");
        for (channel, scales) in channels.iter().enumerate() {
            let column = |value: fn(&ScaleSimilarity) -> f64| scales.iter().map(value);
            for (what, found, expected) in [
                ("SSIM", column(|x| x.ssim), &case.ssim),
                (
                    "contrast-structure",
                    column(|x| x.contrast_structure),
                    &case.contrast_structure,
                ),
            ] {
                assert_eq!(
                    found.len(),
                    expected[channel].len(),
                    "{}: scales",
                    case.name
                );
                for (scale, (found, expected)) in found.zip(&expected[channel]).enumerate() {
                    let what = format!("{what} of channel {channel}, scale {scale},");
                    compare(&what, found, *expected);
                }
            }
            compare("MS-SSIM", ms_ssim(scales), case.ms_ssim[channel]);
            scale_counts.push(scales.len());
        }
        let found = structural_dissimilarity(first, second).expect("comparable pictures");
        compare("the dissimilarity", found, case.dissimilarity);
    }
    println!("similarities differ by at most {largest:e}");
    scale_counts.sort();
    scale_counts.dedup();
    assert_eq!(
        scale_counts,
        [1, 2, 3, 5],
        "a number of scales is not tested"
    );
}
