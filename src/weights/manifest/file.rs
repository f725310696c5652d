//! A file of a pair: where it lies, and what is known of its bytes.

use serde::{Deserialize, Serialize};

use super::error::ManifestError;
use super::percent::encoded_path;
use crate::weights::format::safetensors;
use crate::weights::format::sha256::{HASH_DIGITS, sha256};

/// Ending that [`pack`](super::pack) gives to gzipped files. It is not `.gz`: hosts take that for a
/// content encoding, and browsers then unpack the bytes before they can be checked.
pub const GZIP_ENDING: &str = ".gzip";

/// How a file is packed for the way over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// One gzip member.
    Gzip,
}

/// Where a file lies on a hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubRepository {
    /// `owner/name`.
    pub repository: String,
    /// A commit, tag or branch.
    pub revision: String,
}

/// A file of a pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// With `/`; relative to the manifest, or in the hub's repository.
    pub path: String,
    /// The repository that it lies in; none: it lies beside the manifest, or at [`Self::url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubRepository>,
    /// Its address, where it is on another host and in no hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bytes as transferred; 0: its host has to be asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// SHA-256 of the bytes as transferred, in lower-case hexadecimal digits; empty: its host has to
    /// be asked, or publishes none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// The validator (`ETag`) that a host without hashes gives the file.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub validator: String,
    /// Bytes in the store, where that is known before the file has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<u64>,
    /// How the transferred bytes are to be unpacked; none: they are the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// What the store knows the file by, with the encodings that its components ask for. Set by
    /// [`Manifest::parse`](super::Manifest::parse).
    #[serde(skip)]
    pub id: String,
}

fn is_zero(size: &u64) -> bool {
    *size == 0
}

impl ManifestFile {
    /// The file's own name once it is unpacked, without folders: `vocab.json`.
    pub fn name(&self) -> &str {
        let name = match self.path.rsplit_once('/') {
            Some((_, name)) => name,
            None => &self.path,
        };
        name.strip_suffix(GZIP_ENDING).unwrap_or(name)
    }

    /// Whether the file is split into tensors.
    pub fn holds_tensors(&self) -> bool {
        self.name().ends_with(safetensors::ENDING)
    }

    /// Whether the file's host has nothing more to say: the size is known, and the hash or what
    /// stands in for it.
    pub fn is_resolved(&self) -> bool {
        self.size > 0 && (!self.sha256.is_empty() || self.is_elsewhere())
    }

    /// Whether the file's bytes can be checked against a published hash.
    pub fn is_proven(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// Whether the file lies on another host than the manifest.
    pub fn is_elsewhere(&self) -> bool {
        self.hub.is_some() || self.url.is_some()
    }

    /// Whether the file lies on the visitor's disk, see [`disk_address`].
    pub fn is_on_disk(&self) -> bool {
        self.url
            .as_ref()
            .is_some_and(|url| url.starts_with(DISK_SCHEME))
    }

    /// Whether what the manifest says of the file can be followed.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let is_path = if self.is_elsewhere() {
            is_relative_path(&self.path)
        } else {
            is_plain_relative_path(&self.path)
        };
        if !is_path {
            return Err(ManifestError::Path {
                path: self.path.clone(),
            });
        }
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !self.is_elsewhere() && self.size == 0 {
            return Err(ManifestError::Unresolved {
                path: self.path.clone(),
            });
        }
        if let Some(url) = self
            .url
            .as_ref()
            .filter(|url| !is_loadable(url) && !url.starts_with(DISK_SCHEME))
        {
            return Err(ManifestError::Address { url: url.clone() });
        }
        if let Some(HubRepository {
            repository,
            revision,
        }) = self.hub.as_ref().filter(|hub| !is_repository(hub))
        {
            return Err(ManifestError::Repository {
                repository: repository.clone(),
                revision: revision.clone(),
            });
        }
        if self.sha256.is_empty() && self.is_elsewhere() {
            return Ok(());
        }
        if self.sha256.len() != HASH_DIGITS || !self.sha256.bytes().all(is_digit) {
            return Err(ManifestError::Hash {
                path: self.path.clone(),
                hash: self.sha256.clone(),
            });
        }
        Ok(())
    }

    /// What tells the transferred bytes from others: their SHA-256, or where nobody publishes that,
    /// a hash of where they are from, how long they are, and their host's validator.
    pub(super) fn source_id(&self) -> String {
        if !self.sha256.is_empty() {
            return self.sha256.clone();
        }
        let place = match (&self.hub, &self.url) {
            (Some(hub), _) => format!("{}@{}/{}", hub.repository, hub.revision, self.path),
            (None, Some(url)) => url.clone(),
            (None, None) => self.path.clone(),
        };
        sha256(format!("{place}\n{}\n{}", self.size, self.validator).as_bytes())
    }
}

/// Before the addresses of files that the visitor has opened from the disk.
const DISK_SCHEME: &str = "disk:";

/// The address in a manifest of a file that the visitor has opened from the disk: nobody can follow it, but it is
/// the same when the same file is opened again. `modified` is the time of its last change in milliseconds.
pub fn disk_address(path: &str, size: u64, modified: u64) -> String {
    format!(
        "{DISK_SCHEME}{}?size={size}&modified={modified}",
        encoded_path(path)
    )
}

/// The longest name of a file in bytes that file systems have.
const LONGEST_NAME: usize = 255;

/// Whether a path consists of plain names joined by `/`: no root, no `..`, no scheme, query or
/// percent-encoding that a URL would read otherwise.
pub(super) fn is_plain_relative_path(path: &str) -> bool {
    path.split('/').all(|name| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !matches!(name, "" | "." | "..") && name.bytes().all(is_plain)
    })
}

/// Whether a path consists of names of any script joined by `/`, as files have them that lie in a hub's
/// repository, where each name is encoded, or have an address of their own: no root and no `..`.
fn is_relative_path(path: &str) -> bool {
    path.split('/').all(|name| {
        let is_odd = |it: char| it.is_control() || it == '\\';
        !matches!(name, "" | "." | "..") && name.len() <= LONGEST_NAME && !name.contains(is_odd)
    })
}

/// Whether a text can be a name in a hub: of an owner, a repository, or a part of a revision.
pub(super) fn is_name(name: &str) -> bool {
    is_plain_relative_path(name) && !name.contains('/') && !name.starts_with('.')
}

/// Whether files may be loaded from an address: it can't be read or changed on the way, or there is
/// no way.
pub fn is_loadable(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    url.starts_with("https://")
        || local.iter().any(|host| {
            url.strip_prefix(host)
                .is_some_and(|rest| rest.starts_with([':', '/']))
        })
}

/// Whether this can be a repository of a hub, with nothing in it that an address would read otherwise.
fn is_repository(hub: &HubRepository) -> bool {
    hub.repository.matches('/').count() == 1
        && is_plain_relative_path(&hub.repository)
        && is_plain_relative_path(&hub.revision)
}
