//! The texts of a WebP: a chunk of EXIF among others.

use super::error::FindError;
use super::exif;
use super::texts::{MAXIMUM_TEXT_CHUNK_BYTES, Texts};

/// Bytes before the first chunk.
const HEADER: usize = 12;

/// Whether a file begins as a WebP does.
pub fn is_webp(file: &[u8]) -> bool {
    file.starts_with(b"RIFF") && file.get(8..HEADER) == Some(b"WEBP")
}

/// The texts of a WebP.
///
/// # Errors
/// A chunk ends after the file, or its text is too long.
pub fn texts(file: &[u8]) -> Result<Texts, FindError> {
    let mut texts = Texts::default();
    let mut rest = file.get(HEADER..).unwrap_or_default();
    // Some writers leave the last byte out that makes the length even.
    while rest.len() > 1 {
        let (name, size) = match (rest.first_chunk::<4>(), rest.get(4..8)) {
            (Some(name), Some(size)) => (name, size),
            _ => return Err(FindError::CutOff),
        };
        let size = size.first_chunk().copied().map_or(0, u32::from_le_bytes);
        let size = usize::try_from(size).map_err(|_| FindError::CutOff)?;
        let end = size.checked_add(8).ok_or(FindError::CutOff)?;
        let data = rest.get(8..end).ok_or(FindError::CutOff)?;
        if name == b"EXIF" {
            if data.len() as u64 > MAXIMUM_TEXT_CHUNK_BYTES {
                return Err(FindError::TooMuchText);
            }
            texts.extend(exif::texts(data));
        }
        rest = rest.get(end + size % 2..).unwrap_or_default();
    }
    Ok(texts)
}
