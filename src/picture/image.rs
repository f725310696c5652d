//! A picture's pixels: [`Image`] owns them, [`ImageView`] borrows them.

use serde::{Deserialize, Serialize};

/// A picture as a canvas takes it, and as it is posted between the page and the engine's worker and
/// stored in the history. Nothing says yet that the bytes fill the size: [`Image::view`] does.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Pixels per row.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// `[height, width, 4]`: red, green, blue, alpha (always 255). One array of bytes on the way to
    /// the other side, not an element per byte.
    #[serde(with = "serde_bytes")]
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Image({}x{})", self.width, self.height)
    }
}

impl Image {
    /// The picture, once its bytes are known to fill its size.
    ///
    /// # Errors
    /// As [`ImageView::new`].
    pub fn view(&self) -> Result<ImageView<'_>, ImageError> {
        ImageView::new(self.width, self.height, PixelFormat::Rgba, &self.rgba)
    }

    /// The picture with its longer side at most this long: means of whole squares of pixels. Rows
    /// and columns that fill no square at the right and the bottom are left out.
    #[must_use]
    pub fn shrunk_to(&self, side: u32) -> Image {
        let factor = self.width.max(self.height).div_ceil(side.max(1)).max(1);
        if factor == 1 {
            return self.clone();
        }
        let (width, height) = ((self.width / factor).max(1), (self.height / factor).max(1));
        let mean = |x: u32, y: u32, channel: usize| {
            let (mut sum, mut count) = (0u64, 0u64);
            for row in y * factor..((y + 1) * factor).min(self.height) {
                for column in x * factor..((x + 1) * factor).min(self.width) {
                    let pixel = (row as usize * self.width as usize + column as usize) * 4;
                    sum += u64::from(self.rgba[pixel + channel]);
                    count += 1;
                }
            }
            ((sum + count / 2) / count.max(1)) as u8
        };
        let rgba = (0..height)
            .flat_map(|y| (0..width).map(move |x| (x, y)))
            .flat_map(|(x, y)| [0, 1, 2, 3].map(|channel| mean(x, y, channel)))
            .collect();
        Image {
            width,
            height,
            rgba,
        }
    }
}

/// What a pixel's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue, alpha; the colours are not multiplied by the alpha.
    Rgba,
}

impl PixelFormat {
    /// Bytes of one pixel.
    pub fn channels(self) -> usize {
        match self {
            PixelFormat::Rgb => 3,
            PixelFormat::Rgba => 4,
        }
    }
}

/// A borrowed picture: `[height, width, channels]` bytes in sRGB, rows from top to bottom, without
/// gaps. It has at least one pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageView<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: PixelFormat,
    pub(super) pixels: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// Takes bytes as a picture.
    ///
    /// # Errors
    /// When a side is zero, or there are more or fewer bytes than the size takes.
    pub fn new(
        width: u32,
        height: u32,
        format: PixelFormat,
        pixels: &'a [u8],
    ) -> Result<Self, ImageError> {
        if width == 0 || height == 0 {
            return Err(ImageError::Empty { width, height });
        }
        // Up to 2^66 bytes: beyond what 64 bits count.
        let expected = u128::from(width) * u128::from(height) * format.channels() as u128;
        if pixels.len() as u128 != expected {
            return Err(ImageError::ByteCount {
                width,
                height,
                expected,
                actual: pixels.len(),
            });
        }
        Ok(ImageView {
            width,
            height,
            format,
            pixels,
        })
    }

    /// Pixels of a row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Width and height.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// What a pixel's bytes are.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// All bytes.
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// Red, green and blue of each pixel, row by row.
    pub fn colours(&self) -> impl Iterator<Item = [u8; 3]> + use<'a> {
        self.pixels
            .chunks_exact(self.format.channels())
            .map(|pixel| [pixel[0], pixel[1], pixel[2]])
    }

    /// The bytes of each row.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pixels
            .chunks_exact(self.width as usize * self.format.channels())
    }
}

/// Why bytes are not a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// A side is zero.
    #[error("A picture of {width} × {height} pixels is empty: choose a larger size.")]
    Empty {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The bytes don't fill the size, or are too many for it.
    #[error(
        "A picture of {width} × {height} pixels takes {expected} bytes, but {actual} are there: reload the page and make the picture again."
    )]
    ByteCount {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes that the size takes.
        expected: u128,
        /// Bytes that are there.
        actual: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_to_fill_the_size_exactly() {
        let bytes = [0; 24];
        assert!(ImageView::new(2, 3, PixelFormat::Rgba, &bytes).is_ok());
        assert!(ImageView::new(2, 4, PixelFormat::Rgb, &bytes).is_ok());
        for (width, height, format) in [
            (2, 3, PixelFormat::Rgb),
            (3, 3, PixelFormat::Rgba),
            // More bytes than 64 bits count.
            (u32::MAX, u32::MAX, PixelFormat::Rgba),
        ] {
            let error = ImageView::new(width, height, format, &bytes).unwrap_err();
            assert!(matches!(error, ImageError::ByteCount { .. }), "{error}");
        }
    }

    #[test]
    fn an_owned_picture_is_viewed_once_its_bytes_fill_its_size() {
        let image = |bytes| Image {
            width: 2,
            height: 1,
            rgba: vec![1; bytes],
        };
        let whole = image(8);
        let view = whole.view().unwrap();
        assert_eq!((view.size(), view.format()), ((2, 1), PixelFormat::Rgba));
        assert_eq!(view.pixels(), whole.rgba);
        assert!(matches!(
            image(7).view(),
            Err(ImageError::ByteCount { actual: 7, .. })
        ));
    }

    #[test]
    fn a_large_picture_is_averaged_down_and_a_small_one_stays() {
        let image = |width: u32, height: u32, value: fn(u32, u32) -> u8| Image {
            width,
            height,
            rgba: (0..height)
                .flat_map(|y| (0..width).map(move |x| (x, y)))
                .flat_map(|(x, y)| [value(x, y), 0, 0, 255])
                .collect(),
        };
        let board = image(8, 4, |x, y| if (x + y) % 2 == 0 { 200 } else { 100 });
        assert_eq!(board.shrunk_to(8), board);
        assert_eq!(board.shrunk_to(4), image(4, 2, |_, _| 150));
        // 7 is not a multiple of 4: a narrow last column is left out.
        assert_eq!(image(7, 3, |_, _| 9).shrunk_to(3).width, 2);
        assert_eq!(image(9, 1, |_, _| 9).shrunk_to(2), image(1, 1, |_, _| 9));
    }

    #[test]
    fn a_side_of_zero_is_refused() {
        for (width, height) in [(0, 5), (5, 0), (0, 0)] {
            assert_eq!(
                ImageView::new(width, height, PixelFormat::Rgb, &[]),
                Err(ImageError::Empty { width, height })
            );
        }
    }

    #[test]
    fn colours_are_those_of_the_pixels_without_their_alpha() {
        let bytes: Vec<u8> = (0..24).collect();
        let rgba = ImageView::new(6, 1, PixelFormat::Rgba, &bytes).unwrap();
        assert!(
            rgba.colours()
                .eq((0..6).map(|pixel| [4 * pixel, 4 * pixel + 1, 4 * pixel + 2]))
        );
        let rgb = ImageView::new(4, 2, PixelFormat::Rgb, &bytes).unwrap();
        assert!(
            rgb.colours()
                .eq((0..8).map(|pixel| [3 * pixel, 3 * pixel + 1, 3 * pixel + 2]))
        );
    }

    #[test]
    fn rows_follow_each_other() {
        let bytes: Vec<u8> = (0..18).collect();
        let picture = ImageView::new(3, 2, PixelFormat::Rgb, &bytes).unwrap();
        let rows: Vec<&[u8]> = picture.rows().collect();
        assert_eq!(rows, [&bytes[..9], &bytes[9..]]);
    }
}
