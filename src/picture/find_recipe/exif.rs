//! The texts in EXIF, which JPEG, WebP and PNG have alike: directories of entries as in TIFF.

use super::texts::{DESCRIPTION, MAXIMUM_TEXT_CHUNK_BYTES, SOFTWARE, Texts, USER_COMMENT, decoded};

/// The most entries of a directory that are looked at; cameras write some dozen.
const MAXIMUM_ENTRIES: usize = 256;
/// Bytes of an entry.
const ENTRY: usize = 12;
/// The tag of the directory with the user comment.
const EXIF_DIRECTORY: u16 = 0x8769;
/// Tags of texts with a name of their own.
const NAMED: [(u16, &str); 3] = [
    (0x9286, USER_COMMENT),
    (0x010E, DESCRIPTION),
    (0x0131, SOFTWARE),
];
/// ComfyUI writes its texts into whatever tags, each behind its name.
const PREFIXES: [&str; 2] = ["prompt", "workflow"];
/// What a user comment's first eight bytes say of its encoding.
const UTF_16: &[u8] = b"UNICODE\0";
const OTHERS: [&[u8]; 3] = [b"ASCII\0\0\0", b"JIS\0\0\0\0\0", &[0; 8]];

/// Reads numbers in the order of a file.
#[derive(Clone, Copy)]
struct Tiff<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
}

impl<'a> Tiff<'a> {
    fn short(self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_big_endian {
            u16::from_be_bytes(*bytes)
        } else {
            u16::from_le_bytes(*bytes)
        })
    }

    fn long(self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..)?.first_chunk()?;
        let number = if self.is_big_endian {
            u32::from_be_bytes(*bytes)
        } else {
            u32::from_le_bytes(*bytes)
        };
        usize::try_from(number).ok()
    }

    /// The places of a directory's entries.
    fn entries(self, directory: usize) -> impl Iterator<Item = usize> {
        let count = self.short(directory).map_or(0, usize::from);
        let first = directory.saturating_add(2);
        (0..count.min(MAXIMUM_ENTRIES)).map(move |index| first.saturating_add(index * ENTRY))
    }

    /// The bytes of an entry with text or bytes of any kind.
    fn value(self, entry: usize) -> Option<&'a [u8]> {
        // Bytes, ASCII and "undefined": a byte each.
        if ![1, 2, 7].contains(&self.short(entry.checked_add(2)?)?) {
            return None;
        }
        let length = self.long(entry.checked_add(4)?)?;
        let place = entry.checked_add(8)?;
        let start = if length <= 4 {
            place
        } else {
            self.long(place)?
        };
        self.bytes.get(start..start.checked_add(length)?)
    }
}

/// The texts of EXIF's bytes, with or without the mark before them; none where they are anything else.
pub fn texts(bytes: &[u8]) -> Texts {
    let bytes = bytes.strip_prefix(b"Exif\0\0").unwrap_or(bytes);
    let mut texts = Texts::default();
    let is_big_endian = match bytes.first_chunk() {
        Some(b"MM\0*") => true,
        Some(b"II*\0") => false,
        _ => return texts,
    };
    let tiff = Tiff {
        bytes,
        is_big_endian,
    };
    let mut directories = vec![tiff.long(4).unwrap_or_default()];
    let mut left = MAXIMUM_TEXT_CHUNK_BYTES as usize;
    let mut is_below = false;
    while let Some(directory) = directories.pop() {
        for entry in tiff.entries(directory) {
            let Some(tag) = tiff.short(entry) else { break };
            if tag == EXIF_DIRECTORY && !is_below {
                directories.extend(tiff.long(entry + 8));
                continue;
            }
            let Some(value) = tiff.value(entry).filter(|value| value.len() <= left) else {
                continue;
            };
            let named = NAMED.iter().find(|(known, _)| *known == tag);
            let prefixed = || {
                PREFIXES.iter().find_map(|name| {
                    let text = value.strip_prefix(name.as_bytes())?;
                    Some((*name, text.strip_prefix(b":")?))
                })
            };
            let found = match named {
                Some((_, USER_COMMENT)) => Some((USER_COMMENT, comment(value))),
                _ => prefixed()
                    .or(named.map(|(_, name)| (*name, value)))
                    .map(|(name, text)| (name, decoded(text))),
            };
            if let Some((name, text)) = found {
                left -= value.len();
                texts.add(name, text.trim_end_matches('\0').to_owned());
            }
        }
        is_below = true;
    }
    texts
}

/// The text of a user comment.
fn comment(value: &[u8]) -> String {
    if let Some(text) = value.strip_prefix(UTF_16) {
        return utf_16(text);
    }
    let text = OTHERS.iter().find_map(|mark| value.strip_prefix(*mark));
    decoded(text.unwrap_or(value))
}

/// Programs differ in the order of the bytes, whatever the file's own: text of ASCII has its zeros first
/// or second.
fn utf_16(text: &[u8]) -> String {
    let (pairs, _) = text.as_chunks();
    let zeros = |index: usize| {
        let pairs = pairs.iter();
        pairs
            .filter(|pair: &&[u8; 2]| pair.get(index) == Some(&0))
            .count()
    };
    let is_little = match pairs.first() {
        Some([0xFF, 0xFE]) => true,
        Some([0xFE, 0xFF]) => false,
        _ => zeros(1) > zeros(0),
    };
    if zeros(0) == 0 && zeros(1) == 0 && std::str::from_utf8(text).is_ok_and(|it| !it.is_empty()) {
        // It calls itself so and isn't.
        return decoded(text);
    }
    let units: Vec<u16> = pairs
        .iter()
        .map(|pair| {
            if is_little {
                u16::from_le_bytes(*pair)
            } else {
                u16::from_be_bytes(*pair)
            }
        })
        .collect();
    let text = String::from_utf16_lossy(&units);
    text.trim_start_matches('\u{feff}').to_owned()
}
