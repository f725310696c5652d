//! Names in addresses: the characters that an address reads otherwise stand there as `%` and two digits.

use std::fmt::Write;

/// A name as a part of an address, between two slashes: every byte of its UTF-8 but the letters, digits and
/// `-._~` is encoded.
pub(super) fn encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for &byte in name.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String doesn't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A path as a part of an address: its names are encoded, the slashes between them stay.
pub(super) fn encoded_path(path: &str) -> String {
    let names: Vec<String> = path.split('/').map(encoded).collect();
    names.join("/")
}

/// A name out of an address, for people. What is no sound encoding stays as it is.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|_| first == b'%');
        let byte = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_come_back() {
        for name in ["Some XL (v1.0)+a.safetensors", "模型XL", "50%", "a/b?c#d"] {
            assert_eq!(decoded(&encoded(name)), name);
            assert!(encoded(name).is_ascii());
        }
        assert_eq!(encoded_path("a b/c"), "a%20b/c");
        for unsound in ["100%", "%zz", "%ff"] {
            assert_eq!(decoded(unsound), unsound);
        }
    }
}
