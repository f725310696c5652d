//! The planes of luma and chroma that pictures are measured on.

use super::error::MetricsError;
use crate::picture::image::ImageView;

/// Both pictures have to be of one size.
pub(super) fn check_same_size(
    first: ImageView<'_>,
    second: ImageView<'_>,
) -> Result<(), MetricsError> {
    if first.size() == second.size() {
        return Ok(());
    }
    Err(MetricsError::DifferentSizes {
        first_width: first.width(),
        first_height: first.height(),
        second_width: second.width(),
        second_height: second.height(),
    })
}

/// Luma and chroma by BT.601 over the full range, from gamma-encoded values, as in JPEG files
/// (JFIF 1.02): each is in 0…1, and the chroma of a grey is 0.5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Channel {
    /// Y.
    Luma,
    /// Cb: how much bluer than grey.
    BlueChroma,
    /// Cr: how much redder than grey.
    RedChroma,
}

impl Channel {
    /// All, in the order of the results.
    pub(super) const ALL: [Channel; 3] = [Channel::Luma, Channel::BlueChroma, Channel::RedChroma];

    fn of(self, pixel: [u8; 3]) -> f64 {
        let [red, green, blue] = pixel.map(|value| f64::from(value) / 255.0);
        let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
        match self {
            Channel::Luma => luma,
            Channel::BlueChroma => 0.5 + (blue - luma) / 1.772,
            Channel::RedChroma => 0.5 + (red - luma) / 1.402,
        }
    }
}

/// One channel of a picture, `[height, width]`.
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    values: Vec<f64>,
}

impl Plane {
    /// One channel of the picture's luma and chroma. Its alpha is ignored.
    pub(super) fn of(image: ImageView<'_>, channel: Channel) -> Plane {
        Plane {
            width: image.width() as usize,
            height: image.height() as usize,
            values: image.colours().map(|pixel| channel.of(pixel)).collect(),
        }
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    /// The plane at half the size: means of 2 × 2 pixels. A last odd row or column is left out.
    pub(super) fn halved(&self) -> Plane {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut values = Vec::with_capacity(width * height);
        for row in 0..height {
            let (upper, _) = self.row(2 * row).as_chunks::<2>();
            let (lower, _) = self.row(2 * row + 1).as_chunks::<2>();
            let means = upper
                .iter()
                .zip(lower)
                .map(|([a, b], [c, d])| (a + b + c + d) / 4.0);
            values.extend(means);
        }
        Plane {
            width,
            height,
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_and_chroma_are_those_of_jpeg_files() {
        // White, grey and the three primaries, as JFIF's own matrix with six digits has them.
        for (pixel, expected) in [
            ([255, 255, 255], [1.0, 0.5, 0.5]),
            ([51, 51, 51], [0.2, 0.5, 0.5]),
            ([255, 0, 0], [0.299, 0.331_264, 1.0]),
            ([0, 255, 0], [0.587, 0.168_736, 0.081_312]),
            ([0, 0, 255], [0.114, 1.0, 0.418_688]),
        ] {
            for (channel, expected) in Channel::ALL.into_iter().zip(expected) {
                let value = channel.of(pixel);
                assert!(
                    (value - expected).abs() < 1e-6,
                    "{channel:?} of {pixel:?}: {value} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn a_halved_plane_has_the_means_of_four_pixels() {
        let plane = Plane {
            width: 5,
            height: 3,
            values: (0..15).map(f64::from).collect(),
        };
        let half = plane.halved();
        assert_eq!((half.width, half.height), (2, 1));
        assert_eq!(half.row(0), [3.0, 5.0]);
    }
}
