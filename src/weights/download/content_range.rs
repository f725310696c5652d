//! The header `Content-Range` (RFC 9110, section 14.4).

use std::ops::Range;

/// The part of a file that an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The part's bytes, the end excluded (the header's last byte is included).
    pub range: Range<u64>,
    /// Bytes of the whole file; none where the header has `*` for them.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes 0-99/1000`; none for anything else.
    pub fn parse(header: &str) -> Option<Self> {
        let (part, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = part.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let total = match total {
            "*" => None,
            total => Some(total.parse::<u64>().ok()?),
        };
        let end = last.checked_add(1)?;
        let is_sound = first < end && total.is_none_or(|total| end <= total);
        is_sound.then_some(ContentRange {
            range: first..end,
            total,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_parts_are_read() {
        let read = |text| ContentRange::parse(text).map(|it| (it.range, it.total));
        assert_eq!(read("bytes 0-99/1000"), Some((0..100, Some(1000))));
        assert_eq!(read("bytes 5-5/*"), Some((5..6, None)));
        for wrong in [
            "bytes */1000",
            "bytes 9-5/1000",
            "bytes 0-1000/1000",
            "bytes 0-99",
            "items 0-99/1000",
            "bytes -99/1000",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
