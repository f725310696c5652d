//! SHA-256 as manifests spell it.

use sha2::{Digest, Sha256};

/// Hexadecimal digits of a SHA-256.
pub const HASH_DIGITS: usize = 64;

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes in lower-case hexadecimal digits.
pub fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
