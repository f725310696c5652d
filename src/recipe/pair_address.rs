//! Addresses of pairs' manifests, as links and saved recipes hold them: relative to the page.

/// The address of a file that is named relative to another one's address, as a manifest names those
/// of its pair's family.
pub fn beside(address: &str, path: &str) -> String {
    let end = address.find(['?', '#']).unwrap_or(address.len());
    match address[..end].rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    }
}

/// Whether an address is one on the page's own host whatever it is relative to. URL parsers drop
/// tabs and line breaks and take `\` for `/`, so those can't be let through either.
pub fn is_on_own_host(address: &str) -> bool {
    !address.is_empty()
        && !address.starts_with('/')
        && !address.contains([':', '\\'])
        && !address.contains(char::is_whitespace)
        && !address.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_familys_addresses_are_relative_to_the_manifest() {
        for (address, expected) in [
            ("pairs/emoji/manifest.json", "pairs/emoji/lcm.json"),
            ("pairs/emoji/manifest.json?from=a/b", "pairs/emoji/lcm.json"),
            ("manifest.json", "lcm.json"),
        ] {
            assert_eq!(beside(address, "lcm.json"), expected);
        }
    }
}
