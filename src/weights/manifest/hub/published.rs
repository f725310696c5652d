//! What hubs publish of a file's bytes.

use crate::weights::format::sha256::HASH_DIGITS;

/// SHA-256 and size in bytes from a Git LFS pointer; none for any other text.
pub fn lfs_pointer(text: &str) -> Option<(String, u64)> {
    if !text.starts_with("version https://git-lfs.github.com/spec/") {
        return None;
    }
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let sha256 = field("oid")?.strip_prefix("sha256:")?;
    let size = field("size")?.parse().ok()?;
    is_sha256(sha256).then(|| (sha256.to_owned(), size))
}

/// A SHA-256 that stands in a header, with quotes around it or not, as hubs give it in `ETag`.
pub fn hash_in_header(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"').to_ascii_lowercase();
    is_sha256(&text).then_some(text)
}

pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_pointer_proves_a_file() {
        let hash = "0123456789abcdef".repeat(4);
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{hash}\nsize 5135149760\n"
        );
        assert_eq!(lfs_pointer(&pointer), Some((hash.clone(), 5_135_149_760)));
        assert_eq!(lfs_pointer(&pointer.replace("sha256:0", "sha256:x")), None);
        assert_eq!(lfs_pointer(&pointer.replace("size", "length")), None);
        assert_eq!(lfs_pointer("{}"), None);
        assert_eq!(hash_in_header(&format!("\"{hash}\"")), Some(hash));
        assert_eq!(hash_in_header("\"5d41402abc4b2a76b9719d911017c592\""), None);
    }
}
