//! Writes PNG files that carry the recipe they were made with. [`super::find_recipe`] reads it back.
//!
//! The recipe is an `iTXt` chunk (UTF-8) under [`RECIPE_KEY`]; beside it lies the `parameters` text
//! for other programs. Chunks are those of the PNG specification, third edition, section 11.3.3.

use std::io::Write;

use super::image::{ImageView, PixelFormat};
use super::png_text::{MAXIMUM_TEXT_BYTES, PARAMETERS_KEY, RECIPE_KEY, without_full_stop};

/// The texts that go into a file.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// The recipe as JSON.
    pub recipe: &'a str,
    /// What other programs read, as [`crate::recipe::generation_parameters::GenerationParameters`] spells
    /// it; none for a file of more than one picture.
    pub parameters: Option<&'a str>,
}

/// A PNG of a picture.
///
/// # Errors
/// When a text is too long, or the picture too large for a PNG.
pub fn encode(picture: ImageView<'_>, texts: Texts<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut file = Vec::new();
    let mut writer = encoder(&mut file, picture, texts)?.write_header()?;
    writer.write_image_data(picture.pixels())?;
    writer.finish()?;
    Ok(file)
}

/// An encoder for pictures of one's size and format, with the texts in its header.
pub(super) fn encoder<'a, W: Write>(
    file: W,
    picture: ImageView<'_>,
    texts: Texts<'_>,
) -> Result<png::Encoder<'a, W>, EncodeError> {
    let (width, height) = picture.size();
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(match picture.format() {
        PixelFormat::Rgb => png::ColorType::Rgb,
        PixelFormat::Rgba => png::ColorType::Rgba,
    });
    encoder.set_depth(png::BitDepth::Eight);
    // A run waits while the engine encodes: a file that is some percent larger costs less.
    encoder.set_compression(png::Compression::Fast);
    encoder.validate_sequence(true);

    if texts.recipe.len() > MAXIMUM_TEXT_BYTES {
        return Err(EncodeError::TextTooLong);
    }
    encoder.add_itxt_chunk(RECIPE_KEY.into(), texts.recipe.into())?;
    if let Some(parameters) = texts.parameters {
        // A text chunk may not hold U+0000, which ends a field in it.
        let text = parameters.replace('\0', "");
        if text.len() > MAXIMUM_TEXT_BYTES {
            return Err(EncodeError::TextTooLong);
        }
        // As the web UI does: some readers know tEXt alone, and tEXt knows Latin-1 alone.
        if text.chars().all(|character| character <= '\u{ff}') {
            encoder.add_text_chunk(PARAMETERS_KEY.into(), text)?;
        } else {
            encoder.add_itxt_chunk(PARAMETERS_KEY.into(), text)?;
        }
    }
    Ok(encoder)
}

/// Why a picture can't be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text is longer than [`MAXIMUM_TEXT_BYTES`].
    #[error(
        "The recipe is too long to be saved in the picture (over {} kB): shorten the prompts.",
        MAXIMUM_TEXT_BYTES / 1000
    )]
    TextTooLong,
    /// The encoder refused.
    #[error("The picture can't be saved as PNG ({reason}): try a smaller one.")]
    Encoder {
        /// What it said.
        reason: String,
    },
}

impl From<png::EncodingError> for EncodeError {
    fn from(error: png::EncodingError) -> Self {
        EncodeError::Encoder {
            reason: without_full_stop(&error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_could_not_be_read_back_is_not_written() {
        let longer = "a".repeat(MAXIMUM_TEXT_BYTES + 1);
        let pixel = ImageView::new(1, 1, PixelFormat::Rgb, &[1, 2, 3]).unwrap();
        let texts = Texts {
            recipe: &longer,
            parameters: None,
        };
        assert_eq!(encode(pixel, texts), Err(EncodeError::TextTooLong));
        let texts = Texts {
            recipe: "{}",
            parameters: Some(&longer),
        };
        assert_eq!(encode(pixel, texts), Err(EncodeError::TextTooLong));
    }
}
