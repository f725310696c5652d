//! The size of a picture, where it isn't the pair's own.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// Both sides of a size are multiples of this many pixels: a pixel of SDXL's smallest map covers 32,
/// and its pictures were sorted into sizes of multiples of 64.
pub const SIDE_STEP: u32 = 64;
/// The shortest side of any recipe, in pixels.
pub const SHORTEST_SIDE: u32 = SIDE_STEP;
/// The longest side of any recipe, in pixels; twice the side of SDXL's own square.
pub const LONGEST_SIDE: u32 = 2048;

/// Width and height of a picture in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageSize {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// The sizes of about a million pixels that most people draw with SDXL in, among those that it was
/// trained in (appendix I of SDXL's paper): the square, then ever longer, each wide and tall.
pub const SDXL_SIZES: [ImageSize; 9] = [
    ImageSize::new(1024, 1024),
    ImageSize::new(1152, 896),
    ImageSize::new(896, 1152),
    ImageSize::new(1216, 832),
    ImageSize::new(832, 1216),
    ImageSize::new(1344, 768),
    ImageSize::new(768, 1344),
    ImageSize::new(1536, 640),
    ImageSize::new(640, 1536),
];

impl ImageSize {
    /// A size of so many pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        ImageSize { width, height }
    }

    /// The size that a text such as `1152x896` or `1152 × 896` spells, if a recipe can have it.
    pub fn parse(text: &str) -> Option<ImageSize> {
        let (width, height) = text.split_once(['x', '×', 'X'])?;
        let size = ImageSize::new(width.trim().parse().ok()?, height.trim().parse().ok()?);
        size.is_possible().then_some(size)
    }

    /// Whether some recipe can have it: both sides are multiples of [`SIDE_STEP`], from
    /// [`SHORTEST_SIDE`] to [`LONGEST_SIDE`].
    pub fn is_possible(self) -> bool {
        [self.width, self.height].into_iter().all(|side| {
            side.is_multiple_of(SIDE_STEP) && (SHORTEST_SIDE..=LONGEST_SIDE).contains(&side)
        })
    }

    /// Pixels of the picture.
    pub fn area(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// As it is spelled in links, such as `1152x896`.
    pub fn key(self) -> String {
        format!("{}x{}", self.width, self.height)
    }
}

impl Display for ImageSize {
    /// As sentences name it, such as `1152 × 896`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} × {}", self.width, self.height)
    }
}

impl From<[u32; 2]> for ImageSize {
    fn from([width, height]: [u32; 2]) -> Self {
        ImageSize { width, height }
    }
}

/// The sizes that a pair draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSizes {
    /// The pair's own, which is drawn where a recipe names none.
    pub own: ImageSize,
    /// The shortest and the longest side of further sizes, in pixels; none where the pair has its own
    /// size alone.
    pub sides: Option<(u32, u32)>,
}

impl ImageSizes {
    /// The size that is drawn for a recipe's.
    ///
    /// # Errors
    /// The pair doesn't draw it; a sentence says what it draws.
    pub fn drawn(self, asked: Option<ImageSize>) -> Result<ImageSize, SizeError> {
        let asked = asked.unwrap_or(self.own);
        let is_drawn = asked == self.own
            || self.sides.is_some_and(|(shortest, longest)| {
                let is_within = |side| (shortest..=longest).contains(&side);
                asked.is_possible() && is_within(asked.width) && is_within(asked.height)
            });
        if is_drawn {
            return Ok(asked);
        }
        Err(SizeError { asked, sizes: self })
    }

    /// [`SDXL_SIZES`], without the pair's own and those that it doesn't draw.
    pub fn offered(self) -> impl Iterator<Item = ImageSize> {
        SDXL_SIZES
            .into_iter()
            .filter(move |size| *size != self.own && self.drawn(Some(*size)).is_ok())
    }
}

impl Display for ImageSizes {
    /// In words that follow "it draws".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sides {
            Some((shortest, longest)) => write!(
                formatter,
                "sides from {shortest} to {longest} in steps of {SIDE_STEP} pixels"
            ),
            None => write!(formatter, "{} alone", self.own),
        }
    }
}

/// A size that a pair doesn't draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("These models don't draw pictures of {asked} pixels: they draw {sizes}.")]
pub struct SizeError {
    /// What the recipe asks for.
    pub asked: ImageSize,
    /// What the pair draws.
    pub sizes: ImageSizes,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDXL: ImageSizes = ImageSizes {
        own: ImageSize::new(1024, 1024),
        sides: Some((512, 2048)),
    };

    #[test]
    fn a_size_is_read_in_each_spelling() {
        let size = Some(ImageSize::new(1152, 896));
        for text in ["1152x896", "1152 × 896", " 1152X896 "] {
            assert_eq!(ImageSize::parse(text), size, "{text}");
        }
        for text in ["", "1152", "1152x900", "0x64", "64x4096", "1152x896x1", "x"] {
            assert_eq!(ImageSize::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_pair_draws_its_range_and_its_own_size() {
        assert_eq!(SDXL.drawn(None), Ok(SDXL.own));
        for size in SDXL_SIZES {
            assert_eq!(SDXL.drawn(Some(size)), Ok(size));
        }
        for size in [(448, 1024), (1024, 2112), (1000, 1024)] {
            let size = ImageSize::new(size.0, size.1);
            assert!(SDXL.drawn(Some(size)).is_err(), "{size}");
        }
        // Its own may be one that no range would have.
        let odd = ImageSizes {
            own: ImageSize::new(120, 72),
            sides: None,
        };
        assert_eq!(odd.drawn(Some(odd.own)), Ok(odd.own));
        let error = odd.drawn(Some(SDXL.own)).unwrap_err().to_string();
        assert_eq!(
            error,
            "These models don't draw pictures of 1024 × 1024 pixels: they draw 120 × 72 alone."
        );
        assert_eq!((SDXL.offered().count(), odd.offered().count()), (8, 0));
    }
}
