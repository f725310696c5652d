//! A hub's addresses of a repository and its files.

use crate::weights::manifest::file::HubRepository;
use crate::weights::manifest::percent::{decoded, encoded, encoded_path};

impl HubRepository {
    /// The address of a file; it may lead elsewhere.
    pub fn file_address(&self, hub: &str, path: &str) -> String {
        self.address(hub, "resolve", path)
    }

    /// The address of a large file's pointer, or of a small file itself.
    pub fn pointer_address(&self, hub: &str, path: &str) -> String {
        self.address(hub, "raw", path)
    }

    /// The address of the first page of the list of all files.
    pub fn listing_address(&self, hub: &str) -> String {
        format!(
            "{}/api/models/{}/tree/{}?recursive=true",
            hub.trim_end_matches('/'),
            self.repository,
            encoded(&self.revision)
        )
    }

    /// The address of its page for people.
    pub fn page_address(&self, hub: &str) -> String {
        format!("{}/{}", hub.trim_end_matches('/'), self.repository)
    }

    /// The repository under the name that the hub has redirected a listing's address to: its owner has
    /// renamed or moved it.
    pub fn renamed(&self, listing_url: &str) -> Self {
        let found = listing_url
            .split_once("/api/models/")
            .and_then(|(_, rest)| rest.split_once("/tree/"))
            .map(|(name, _)| decoded(name))
            .filter(|name| name.split('/').filter(|part| !part.is_empty()).count() == 2);
        Self {
            repository: found.unwrap_or_else(|| self.repository.clone()),
            revision: self.revision.clone(),
        }
    }

    fn address(&self, hub: &str, kind: &str, path: &str) -> String {
        format!(
            "{}/{}/{kind}/{}/{}",
            hub.trim_end_matches('/'),
            self.repository,
            encoded(&self.revision),
            encoded_path(path)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_revisions_are_encoded() {
        let hub = HubRepository {
            repository: "a/b".into(),
            revision: "refs/pr/1".into(),
        };
        let address = hub.file_address("https://hub.example/", "folder/my model+v2.safetensors");
        assert_eq!(
            address,
            "https://hub.example/a/b/resolve/refs%2Fpr%2F1/folder/my%20model%2Bv2.safetensors"
        );
    }

    /// What the case 39-renamed-repository asks for: the new name is followed, and kept.
    #[test]
    fn a_redirected_listing_tells_the_new_name() {
        let old = HubRepository {
            repository: "old/name".into(),
            revision: "main".into(),
        };
        let new = "https://hub.example/api/models/new/name/tree/main?recursive=true";
        assert_eq!(old.renamed(new).repository, "new/name");
        for unclear in [
            "",
            "https://hub.example/login",
            "https://x/api/models/name/tree/main",
        ] {
            assert_eq!(old.renamed(unclear), old);
        }
    }
}
