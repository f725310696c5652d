//! Writes PNG files that carry the recipe they were made with, and reads pictures out of PNG files.
//! [`super::find_recipe`] reads the recipe back.
//!
//! The recipe is an `iTXt` chunk (UTF-8) under [`RECIPE_KEY`]; beside it lies the `parameters` text
//! for other programs. Chunks are those of the PNG specification, third edition, section 11.3.3.

use std::io::{Cursor, Write};

use super::image::{Image, ImageView, PixelFormat};
use super::png_text::{MAXIMUM_TEXT_BYTES, PARAMETERS_KEY, RECIPE_KEY, without_full_stop};

/// The texts that go into a file.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    /// The recipe as JSON; none for a file without one.
    pub recipe: Option<&'a str>,
    /// What other programs read, as [`crate::recipe::generation_parameters::GenerationParameters`] spells
    /// it; none for a file of more than one picture.
    pub parameters: Option<&'a str>,
}

impl Texts<'static> {
    /// No texts.
    pub const NONE: Self = Texts {
        recipe: None,
        parameters: None,
    };
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

/// The picture in a PNG file, of any kind that holds red, green and blue.
///
/// # Errors
/// A sentence's part that says why there is none.
pub fn decode(file: &[u8]) -> Result<Image, DecodeError> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let length = reader.output_buffer_size().unwrap_or_default();
    let mut pixels = vec![0; length];
    let info = reader.next_frame(&mut pixels)?;
    let rgba = match info.color_type {
        png::ColorType::Rgba => pixels,
        png::ColorType::Rgb => {
            let (pixels, _) = pixels.as_chunks::<3>();
            let opaque = |&[red, green, blue]: &[u8; 3]| [red, green, blue, u8::MAX];
            pixels.iter().flat_map(opaque).collect()
        }
        other => return Err(DecodeError(format!("its colours are {other:?}"))),
    };
    Ok(Image {
        width: info.width,
        height: info.height,
        rgba,
    })
}

/// Why a file is no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl From<png::DecodingError> for DecodeError {
    fn from(error: png::DecodingError) -> Self {
        DecodeError(without_full_stop(&error))
    }
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

    if let Some(recipe) = texts.recipe {
        if recipe.len() > MAXIMUM_TEXT_BYTES {
            return Err(EncodeError::TextTooLong);
        }
        encoder.add_itxt_chunk(RECIPE_KEY.into(), recipe.into())?;
    }
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
            recipe: Some(&longer),
            parameters: None,
        };
        assert_eq!(encode(pixel, texts), Err(EncodeError::TextTooLong));
        let texts = Texts {
            recipe: Some("{}"),
            parameters: Some(&longer),
        };
        assert_eq!(encode(pixel, texts), Err(EncodeError::TextTooLong));
    }
}
