//! Pictures as plain bytes, the way a canvas gives and takes them.

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

/// A seeded source of test data: the same numbers on every run.
#[cfg(test)]
pub(crate) mod random {
    use crate::engine::recipe::{Axis, MAXIMUM_ROWS, MAXIMUM_SEED_COUNT, Mode, Recipe};
    use crate::sampler::SchedulerClass;

    /// Steele, Lea and Flood's SplitMix64.
    pub struct Random(pub u64);

    impl Random {
        /// The next 64 bits.
        pub fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut bits = self.0;
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bits ^ (bits >> 31)
        }

        /// A number below a bound.
        pub fn below(&mut self, bound: usize) -> usize {
            (self.next() % bound as u64) as usize
        }

        /// That many bytes.
        pub fn bytes(&mut self, count: usize) -> Vec<u8> {
            (0..count).map(|_| self.next() as u8).collect()
        }

        /// Up to that many characters of an alphabet.
        pub fn text(&mut self, alphabet: &[char], longest: usize) -> String {
            let length = self.below(longest + 1);
            (0..length)
                .map(|_| alphabet[self.below(alphabet.len())])
                .collect()
        }

        /// A number from 1 to another one.
        fn up_to(&mut self, maximum: u32) -> u32 {
            1 + self.below(maximum as usize) as u32
        }

        /// Up to so many numbers, at least one, each once.
        fn several<T: PartialEq>(
            &mut self,
            most: usize,
            mut number: impl FnMut(&mut Self) -> T,
        ) -> Vec<T> {
            let mut numbers = Vec::new();
            for _ in 0..=self.below(most) {
                let number = number(self);
                if !numbers.contains(&number) {
                    numbers.push(number);
                }
            }
            numbers
        }

        /// A guidance scale, round or of all bits.
        fn scale(&mut self) -> f32 {
            match self.below(3) {
                0 => self.below(21) as f32,
                1 => self.below(2001) as f32 / 100.0,
                _ => 20.0 * (self.below(1 << 24) as f32 / (1 << 24) as f32),
            }
        }

        fn prompt(&mut self) -> String {
            let alphabet: Vec<char> = "abc XYZ019&=#%+?/,.:;\"'\\\n\té漢ß🍎\u{200d}\u{10ffff}\0"
                .chars()
                .collect();
            self.text(&alphabet, 40)
        }

        fn scheduler(&mut self) -> Option<SchedulerClass> {
            SchedulerClass::ALL.get(self.below(5)).copied()
        }

        /// A recipe that can be drawn.
        pub fn recipe(&mut self) -> Recipe {
            let chosen = 1 + self.below(15);
            let mut modes: Vec<Mode> = (0..)
                .zip(Mode::ALL)
                .filter_map(|(bit, mode)| (chosen >> bit & 1 == 1).then_some(mode))
                .collect();
            let kind = self.below(4);
            if (1..3).contains(&kind) && !modes.contains(&Mode::Hybrid) {
                modes = vec![Mode::Base, Mode::Hybrid];
            }
            if kind == 3 && modes.len() * 2 > MAXIMUM_ROWS {
                modes.truncate(1);
            }
            let distilled_steps = 1 + self.up_to(99);
            let most = MAXIMUM_ROWS + 1 - modes.len();
            let axis = match kind {
                0 => Axis::Modes,
                1 => Axis::K(self.several(most, |random| random.up_to(distilled_steps))),
                2 => Axis::BaseGuidance(self.several(most, Random::scale)),
                _ => {
                    let most = MAXIMUM_ROWS / modes.len() - 1;
                    Axis::Prompts((0..=self.below(most)).map(|_| self.prompt()).collect())
                }
            };
            let recipe = Recipe {
                prompt: self.prompt(),
                negative_prompt: self.prompt(),
                seed: self.next() as u32,
                seed_count: self.up_to(MAXIMUM_SEED_COUNT),
                modes,
                axis,
                k: self.up_to(distilled_steps),
                hybrid_base_guidance: self.scale(),
                hybrid_base_steps: self.up_to(25),
                base_steps: self.up_to(100),
                base_guidance: self.scale(),
                base_scheduler: self.scheduler(),
                distilled_steps,
                distilled_guidance: self.scale(),
                distilled_scheduler: self.scheduler(),
            };
            assert_eq!(recipe.validate(), Ok(()), "{recipe:?}");
            recipe
        }
    }
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
