//! Pictures as plain bytes, the way a canvas gives and takes them.

use serde::{Deserialize, Serialize};

/// A picture as the canvas takes it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[height, width, 4]`: red, green, blue, alpha (always 255).
    #[serde(with = "serde_bytes")]
    pub rgba: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Frame({}x{})", self.width, self.height)
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
pub struct Picture<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: PixelFormat,
    pub(super) pixels: &'a [u8],
}

impl<'a> Picture<'a> {
    /// Takes bytes as a picture.
    ///
    /// # Errors
    /// When a side is zero, or there are more or fewer bytes than the size takes.
    pub fn new(
        width: u32,
        height: u32,
        format: PixelFormat,
        pixels: &'a [u8],
    ) -> Result<Self, PictureError> {
        if width == 0 || height == 0 {
            return Err(PictureError::Empty { width, height });
        }
        // Up to 2^66 bytes: beyond what 64 bits count.
        let expected = u128::from(width) * u128::from(height) * format.channels() as u128;
        if pixels.len() as u128 != expected {
            return Err(PictureError::ByteCount {
                width,
                height,
                expected,
                actual: pixels.len(),
            });
        }
        Ok(Picture {
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

    /// The bytes of each row.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pixels
            .chunks_exact(self.width as usize * self.format.channels())
    }
}

/// Why bytes are not a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
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
        assert!(Picture::new(2, 3, PixelFormat::Rgba, &bytes).is_ok());
        assert!(Picture::new(2, 4, PixelFormat::Rgb, &bytes).is_ok());
        for (width, height, format) in [
            (2, 3, PixelFormat::Rgb),
            (3, 3, PixelFormat::Rgba),
            // More bytes than 64 bits count.
            (u32::MAX, u32::MAX, PixelFormat::Rgba),
        ] {
            let error = Picture::new(width, height, format, &bytes).unwrap_err();
            assert!(matches!(error, PictureError::ByteCount { .. }), "{error}");
        }
    }

    #[test]
    fn a_side_of_zero_is_refused() {
        for (width, height) in [(0, 5), (5, 0), (0, 0)] {
            assert_eq!(
                Picture::new(width, height, PixelFormat::Rgb, &[]),
                Err(PictureError::Empty { width, height })
            );
        }
    }

    #[test]
    fn rows_follow_each_other() {
        let bytes: Vec<u8> = (0..18).collect();
        let picture = Picture::new(3, 2, PixelFormat::Rgb, &bytes).unwrap();
        let rows: Vec<&[u8]> = picture.rows().collect();
        assert_eq!(rows, [&bytes[..9], &bytes[9..]]);
    }
}
