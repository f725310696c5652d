//! Frames that are made of two others.

#![expect(
    clippy::indexing_slicing,
    reason = "a colour map has an entry for every level"
)]

use crate::metrics::{MetricsError, absolute_difference};
use crate::picture::image::Image;

/// Colours of a difference from none to the largest. Each is lighter than the one before, so that
/// brightness alone tells them apart.
const HEAT: [[f32; 3]; 5] = [
    [0.0, 0.0, 0.0],
    [66.0, 18.0, 120.0],
    [196.0, 60.0, 90.0],
    [250.0, 150.0, 40.0],
    [255.0, 252.0, 210.0],
];

/// A frame with another blended over it: with a `weight` of 0 the first alone, with 1 the other. Frames
/// of different sizes can't be blended: the result is the first.
pub fn mix(frame: &Image, over: &Image, weight: f32) -> Image {
    if (frame.width, frame.height) != (over.width, over.height) {
        return frame.clone();
    }
    let weight = (weight.clamp(0.0, 1.0) * 256.0).round() as u32;
    let rgba = frame
        .rgba
        .iter()
        .zip(&over.rgba)
        .map(|(&under, &over)| {
            let sum = u32::from(under) * (256 - weight) + u32::from(over) * weight;
            // A mean of bytes is one.
            ((sum + 128) >> 8) as u8
        })
        .collect();
    Image {
        width: frame.width,
        height: frame.height,
        rgba,
    }
}

/// Where a frame differs from the last one: black where it is the same already, and the brighter
/// the more is still to change.
///
/// # Errors
/// If the sizes differ.
pub fn difference_frame(frame: &Image, last: &Image) -> Result<Image, MetricsError> {
    let differences = absolute_difference(frame.view()?, last.view()?)?;
    let colours: Vec<[u8; 4]> = (0..=u8::MAX)
        .map(|level| heat(f32::from(level) / 255.0))
        .collect();
    let rgba = differences
        .into_iter()
        .flat_map(|difference| {
            // Small differences are many and large ones few: the root spreads the small ones.
            let level = (difference.clamp(0.0, 1.0).sqrt() * 255.0).round() as usize;
            colours[level]
        })
        .collect();
    Ok(Image {
        width: frame.width,
        height: frame.height,
        rgba,
    })
}

/// The colour of a share from 0 to 1.
fn heat(share: f32) -> [u8; 4] {
    let place = share * (HEAT.len() - 1) as f32;
    let below = (place as usize).min(HEAT.len() - 2);
    let weight = place - below as f32;
    let channel = |index: usize| {
        let (low, high) = (HEAT[below][index], HEAT[below + 1][index]);
        (low + (high - low) * weight).round() as u8
    };
    [channel(0), channel(1), channel(2), u8::MAX]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(pixels: &[[u8; 3]]) -> Image {
        Image {
            width: pixels.len() as u32,
            height: 1,
            rgba: pixels
                .iter()
                .flat_map(|&[red, green, blue]| [red, green, blue, 255])
                .collect(),
        }
    }

    #[test]
    fn a_blend_goes_from_one_frame_to_the_other() {
        let (first, second) = (frame(&[[0, 100, 255]]), frame(&[[255, 200, 255]]));
        assert_eq!(mix(&first, &second, 0.0), first);
        assert_eq!(mix(&first, &second, 1.0), second);
        assert_eq!(mix(&first, &second, 0.5), frame(&[[128, 150, 255]]));
        assert_eq!(mix(&first, &frame(&[[1; 3]; 2]), 0.5), first);
    }

    #[test]
    fn what_is_the_same_is_black_and_more_is_brighter() {
        let last = frame(&[[50; 3]; 4]);
        let found = difference_frame(&frame(&[[50; 3], [60; 3], [90; 3], [250; 3]]), &last)
            .expect("a heat map");
        let brightness: Vec<u32> = found
            .rgba
            .chunks(4)
            .map(|pixel| pixel[..3].iter().map(|&channel| u32::from(channel)).sum())
            .collect();
        assert_eq!(brightness[0], 0);
        assert!(brightness.is_sorted_by(|a, b| a < b), "{brightness:?}");
        assert!(found.rgba.chunks(4).all(|pixel| pixel[3] == 255));
        assert!(difference_frame(&last, &frame(&[[0; 3]])).is_err());
    }

    #[test]
    fn the_colours_grow_lighter_throughout() {
        let luma = |level: u32| {
            let [red, green, blue, _] = heat(level as f32 / 255.0).map(f64::from);
            0.299 * red + 0.587 * green + 0.114 * blue
        };
        assert!((1..256).all(|level| luma(level) > luma(level - 1)));
        assert_eq!(heat(1.0), [255, 252, 210, 255]);
    }
}
