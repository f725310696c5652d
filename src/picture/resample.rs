//! Resizing as Pillow does it, to the bit: the networks that measure pictures were trained on pictures that
//! Pillow had resized, and other filters give them other pictures.
//!
//! It is a bicubic filter (Keys, "Cubic convolution interpolation for digital image processing", 1981, with
//! a = −1/2), which is widened where a picture becomes smaller. Rows are resized first, then columns, and each
//! of the two rounds to whole bytes, with weights in fixed point of 22 bits.

use super::image::ImageView;

/// Bits after the point of the weights: 8 for a byte and 2 for sums beyond it remain of 32.
const PRECISION: u32 = 32 - 8 - 2;

/// How far the filter reaches on either side, in pixels of the smaller picture.
const SUPPORT: f64 = 2.0;

/// A picture in red, green and blue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels per row.
    pub width: usize,
    /// Rows of pixels.
    pub height: usize,
    /// `[height, width, 3]`.
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// The colours of a picture, without its alpha.
    pub fn of(picture: ImageView<'_>) -> Self {
        Self {
            width: picture.width() as usize,
            height: picture.height() as usize,
            pixels: picture.colours().flatten().collect(),
        }
    }

    /// The picture in another size; none of its sides may be 0, or nothing is left.
    #[must_use]
    pub fn resized(self, width: usize, height: usize) -> Self {
        let across = if width == self.width {
            self
        } else {
            self.resized_across(width)
        };
        if height == across.height {
            across
        } else {
            across.resized_down(height)
        }
    }

    /// The middle of the picture; a side that is shorter stays as it is. Half a pixel too much on one side is
    /// rounded to the even number, as torchvision does.
    #[must_use]
    pub fn centre_cropped(&self, width: usize, height: usize) -> Self {
        let (width, height) = (width.min(self.width), height.min(self.height));
        let half = |excess: usize| (excess as f64 / 2.0).round_ties_even() as usize;
        let (left, top) = (half(self.width - width), half(self.height - height));
        let rows = (top..top + height).flat_map(|row| {
            let begin = (row * self.width + left) * 3;
            self.pixels[begin..begin + width * 3].iter().copied()
        });
        Self {
            width,
            height,
            pixels: rows.collect(),
        }
    }

    fn resized_across(&self, width: usize) -> Self {
        let filters = filters(self.width, width);
        let mut pixels = Vec::with_capacity(width * self.height * 3);
        for row in self.pixels.chunks_exact(self.width.max(1) * 3) {
            for filter in &filters {
                for channel in 0..3 {
                    let values = row.iter().skip(filter.first * 3 + channel).step_by(3);
                    pixels.push(filter.apply(values));
                }
            }
        }
        Self {
            width,
            height: self.height,
            pixels,
        }
    }

    fn resized_down(&self, height: usize) -> Self {
        let filters = filters(self.height, height);
        let length = self.width * 3;
        let mut pixels = Vec::with_capacity(height * length);
        for filter in &filters {
            for column in 0..length {
                let first = filter.first * length + column;
                pixels.push(filter.apply(self.pixels.iter().skip(first).step_by(length.max(1))));
            }
        }
        Self {
            width: self.width,
            height,
            pixels,
        }
    }
}

/// The weights of the pixels that make one.
struct Filter {
    /// The first of the pixels.
    first: usize,
    /// In fixed point.
    weights: Vec<i32>,
}

impl Filter {
    fn apply<'a>(&self, values: impl Iterator<Item = &'a u8>) -> u8 {
        let half = 1 << (PRECISION - 1);
        let sum = self
            .weights
            .iter()
            .zip(values)
            .fold(half, |sum, (weight, &value)| {
                sum + weight * i32::from(value)
            });
        (sum >> PRECISION).clamp(0, 255) as u8
    }
}

/// The filter of each of `to` pixels on a line of `from`.
fn filters(from: usize, to: usize) -> Vec<Filter> {
    let scale = from as f64 / to as f64;
    let width = scale.max(1.0);
    let support = SUPPORT * width;
    let end = |place: f64| (place + 0.5).clamp(0.0, from as f64) as usize;
    let filter = |pixel: usize| {
        let centre = (pixel as f64 + 0.5) * scale;
        let first = end(centre - support);
        let weights: Vec<f64> = (first..end(centre + support))
            .map(|place| cubic((place as f64 - centre + 0.5) / width))
            .collect();
        let sum: f64 = weights.iter().sum();
        let one = f64::from(1 << PRECISION);
        Filter {
            first,
            weights: weights
                .iter()
                .map(|weight| (weight / sum * one).round() as i32)
                .collect(),
        }
    };
    (0..to).map(filter).collect()
}

fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[u8]) -> Rgb {
        Rgb {
            width: 1,
            height: values.len(),
            pixels: values.iter().flat_map(|&value| [value; 3]).collect(),
        }
    }

    #[test]
    fn a_crop_takes_the_middle() {
        let picture = column(&[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(picture.centre_cropped(1, 3), column(&[2, 3, 4]));
        // An excess of 3: half of it is 1.5, of which 2 is the even number.
        assert_eq!(picture.centre_cropped(9, 4), column(&[2, 3, 4, 5]));
        assert_eq!(picture.centre_cropped(1, 9), picture);
    }

    #[test]
    fn one_colour_stays_that_colour_in_any_size() {
        let picture = Rgb {
            width: 5,
            height: 3,
            pixels: [200, 100, 7].repeat(15),
        };
        for (width, height) in [(11, 2), (1, 1), (5, 9)] {
            let resized = picture.clone().resized(width, height);
            assert_eq!((resized.width, resized.height), (width, height));
            assert_eq!(resized.pixels, [200, 100, 7].repeat(width * height));
        }
    }
}
