//! The texts of a JPEG: EXIF and the comment, in the segments before its pixels.

use super::error::FindError;
use super::exif;
use super::texts::{COMMENT, Texts, decoded};

/// What every JPEG begins with.
pub const SIGNATURE: [u8; 3] = [0xFF, 0xD8, 0xFF];

const APPLICATION_1: u8 = 0xE1;
const TEXT: u8 = 0xFE;
const PIXELS: u8 = 0xDA;
const END: u8 = 0xD9;

/// The texts of a JPEG.
///
/// # Errors
/// It ends before its pixels, or has something else where a segment begins.
pub fn texts(file: &[u8]) -> Result<Texts, FindError> {
    let mut texts = Texts::default();
    let mut rest = file.get(2..).unwrap_or_default();
    loop {
        let marker = match rest {
            // Fill bytes.
            [0xFF, 0xFF, ..] => {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            [0xFF, PIXELS | END, ..] => return Ok(texts),
            [0xFF, marker, ..] => *marker,
            [] | [0xFF] => return Err(FindError::CutOff),
            _ => {
                return Err(FindError::Damaged {
                    reason: "no segment begins where one has to".into(),
                });
            }
        };
        // The length counts its own two bytes.
        let segment = rest.get(2..).unwrap_or_default();
        let length = segment.first_chunk().copied().map(u16::from_be_bytes);
        let length = usize::from(length.ok_or(FindError::CutOff)?);
        let data = segment.get(2..length.max(2)).ok_or(FindError::CutOff)?;
        match marker {
            APPLICATION_1 if data.starts_with(b"Exif\0\0") => texts.extend(exif::texts(data)),
            TEXT => texts.add(COMMENT, decoded(data).trim_end_matches('\0').to_owned()),
            _ => {}
        }
        rest = segment.get(length.max(2)..).unwrap_or_default();
    }
}
