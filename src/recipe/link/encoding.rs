//! How names and values are written in a hash, and its checksum.

use std::fmt::Write;

/// Appends `name=value` to a hash.
pub fn push_parameter(hash: &mut String, name: &str, value: &str) {
    push_name(hash, name);
    hash.push('=');
    percent_encode(value, hash);
}

/// Appends a name without a value to a hash.
pub fn push_name(hash: &mut String, name: &str) {
    if !hash.is_empty() {
        hash.push('&');
    }
    percent_encode(name, hash);
}

/// FNV-1a of Fowler, Noll and Vo in 32 bits. Each byte permutes the state, so texts that differ in
/// one byte never have the same sum.
pub fn checksum(text: &str) -> String {
    let sum = text.bytes().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{sum:08x}")
}

/// Undoes percent-encoding; none where it is broken. `+` is a space: both of the browser's
/// encoders (`encodeURIComponent` and `URLSearchParams`) write a plus sign as `%2B`.
pub fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let value = digit()? * 16 + digit()?;
                u8::try_from(value).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes all but what `encodeURIComponent` leaves as it is, the comma and the slash;
/// a fragment may hold those two, and they keep lists and addresses readable.
fn percent_encode(text: &str, encoded: &mut String) {
    encoded.reserve(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'(),/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::checksum;

    #[test]
    fn the_checksum_is_fnv_1a() {
        // The authors' own test vectors.
        for (text, sum) in [("", "811c9dc5"), ("a", "e40c292c"), ("foobar", "bf9cf968")] {
            assert_eq!(checksum(text), sum);
        }
    }
}
