//! The texts of a PNG.

use png::{DecodeOptions, Decoded, StreamingDecoder, chunk};

use super::error::FindError;
use super::exif;
use super::programs::{INVOKE_AI, PROMPT, WORKFLOW};
use super::texts::{COMMENT, MAXIMUM_TEXT_CHUNK_BYTES, SOFTWARE, Texts};
use crate::picture::png_text::{MAXIMUM_TEXT_BYTES, PARAMETERS_KEY, RECIPE_KEY};

/// What every PNG begins with.
pub const SIGNATURE: [u8; 8] = [137, 80, 78, 71, 13, 10, 26, 10];

/// The longest text of another program that is inflated: a workflow with its pictures of nodes.
const MAXIMUM_FOREIGN_BYTES: usize = 4 << 20;

/// The keywords that are read.
const KEYWORDS: [&str; 7] = [
    RECIPE_KEY,
    PARAMETERS_KEY,
    PROMPT,
    WORKFLOW,
    INVOKE_AI,
    COMMENT,
    SOFTWARE,
];

/// What a PNG has.
pub enum PngTexts {
    /// This page's own recipe.
    Recipe(String),
    /// Texts of others; one that can't be read is damage where nothing else is found.
    Others {
        /// Those that can be read.
        texts: Texts,
        /// Whether one can't.
        is_damaged: bool,
    },
}

/// The texts of a PNG. The pixels are never decoded: the size that the file claims costs nothing, and a
/// recipe counts once its own chunk is whole, whatever is wrong with the rest of the file after it.
///
/// # Errors
/// The file ends too early, is damaged, or holds too much text.
pub fn texts(file: &[u8]) -> Result<PngTexts, FindError> {
    let mut options = DecodeOptions::default();
    options.set_skip_ancillary_crc_failures(false);
    // A colour profile may inflate to any size.
    options.set_ignore_iccp_chunk(true);
    let mut decoder = StreamingDecoder::new_with_options(options);
    let mut rest = file;
    let mut text_chunk_bytes = 0;
    let mut is_damaged = false;
    let mut texts = Texts::default();
    while !rest.is_empty() {
        let (consumed, event) = decoder.update(rest, None)?;
        rest = rest.get(consumed..).unwrap_or_default();
        match event {
            Decoded::ChunkBegin(length, chunk::tEXt | chunk::zTXt | chunk::iTXt) => {
                text_chunk_bytes += u64::from(length);
                if text_chunk_bytes > MAXIMUM_TEXT_CHUNK_BYTES {
                    return Err(FindError::TooMuchText);
                }
            }
            Decoded::ChunkComplete(kind @ (chunk::tEXt | chunk::zTXt | chunk::iTXt)) => {
                match last_text(&decoder, kind)? {
                    Some((RECIPE_KEY, Some(recipe))) => return Ok(PngTexts::Recipe(recipe)),
                    Some((keyword, Some(text))) => texts.add(keyword, text),
                    Some((_, None)) => is_damaged = true,
                    None => {}
                }
            }
            Decoded::ChunkComplete(chunk::eXIf) => {
                let exif = decoder
                    .info()
                    .and_then(|info| info.exif_metadata.as_deref());
                texts.extend(exif.map(exif::texts).unwrap_or_default());
            }
            Decoded::BadAncillaryChunk(chunk::tEXt | chunk::zTXt | chunk::iTXt) => {
                is_damaged = true;
            }
            Decoded::ChunkComplete(chunk::IEND) => {
                return Ok(PngTexts::Others { texts, is_damaged });
            }
            _ => {}
        }
    }
    Err(FindError::CutOff)
}

/// The text of the chunk that was completed just now, and which of our keywords it is under; none for any
/// other keyword. A text of another program that can't be read is none.
fn last_text(
    decoder: &StreamingDecoder,
    kind: chunk::ChunkType,
) -> Result<Option<(&'static str, Option<String>)>, FindError> {
    let Some(info) = decoder.info() else {
        return Ok(None);
    };
    let known = |keyword: &str| KEYWORDS.into_iter().find(|key| *key == keyword);
    let limit = |key: &str| match key {
        RECIPE_KEY | PARAMETERS_KEY => MAXIMUM_TEXT_BYTES,
        _ => MAXIMUM_FOREIGN_BYTES,
    };
    let found = match kind {
        chunk::tEXt => info.uncompressed_latin1_text.last().and_then(|text| {
            let key = known(&text.keyword)?;
            Some((key, Ok(text.text.clone())))
        }),
        chunk::zTXt => info.compressed_latin1_text.last().and_then(|text| {
            let key = known(&text.keyword)?;
            let mut text = text.clone();
            let inflated = text.decompress_text_with_limit(limit(key));
            Some((key, inflated.and_then(|()| text.get_text())))
        }),
        _ => info.utf8_text.last().and_then(|text| {
            let key = known(&text.keyword)?;
            let mut text = text.clone();
            let inflated = text.decompress_text_with_limit(limit(key));
            Some((key, inflated.and_then(|()| text.get_text())))
        }),
    };
    let Some((key, text)) = found else {
        return Ok(None);
    };
    let is_own = [RECIPE_KEY, PARAMETERS_KEY].contains(&key);
    match text {
        Ok(text) if text.len() <= limit(key) => Ok(Some((key, Some(as_utf_8(text, kind))))),
        Ok(_) if is_own => Err(FindError::TooMuchText),
        // The decoder's own message speaks of limits that a visitor can't set.
        Err(_) if is_own => Err(FindError::Damaged {
            reason: "its recipe can't be unpacked, or is too long".into(),
        }),
        Ok(_) | Err(_) => Ok(Some((key, None))),
    }
}

/// A text that the decoder took for Latin-1, as PNG says, while its bytes are UTF-8: most programs write
/// that.
fn as_utf_8(text: String, kind: chunk::ChunkType) -> String {
    if kind == chunk::iTXt {
        return text;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(|it| u8::try_from(it).ok()).collect();
    let decoded = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.unwrap_or(text)
}
