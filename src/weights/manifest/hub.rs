//! Where a visitor says that models are, and what hubs say of their files.
//!
//! A hub (Hugging Face's, or another that speaks its addresses) has repositories in diffusers'
//! layout. `<hub>/<repository>/resolve/<revision>/<path>` leads to a file, and `raw` in its place
//! to the Git LFS pointer of a large one, which holds its SHA-256 and size.
//! `<hub>/api/models/<repository>/tree/<revision>?recursive=true` lists the files with both.

use serde::Deserialize;
use serde_json::Value;

use super::file::{HubRepository, ManifestFile, is_loadable};
use super::weight_files::{self, HALF_PRECISION_FIRST};
use crate::weights::format::safetensors;
use crate::weights::format::sha256::HASH_DIGITS;

/// The branch that a repository without a revision is taken at.
const DEFAULT_REVISION: &str = "main";

/// Why what the visitor gave, or what a host answered, can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences name every field")]
pub enum HubError {
    /// Neither a repository nor an address.
    #[error(
        "“{text}” is neither a hub's repository (owner/name, with @revision if you like), nor two of \
         them (base + distilled), nor an https address of a manifest, a folder or a checkpoint."
    )]
    Text { text: String },
    /// A repository without a model.
    #[error(
        "{place} has no {component} in diffusers' layout: {component}/config.json and its weights as \
         safetensors are expected there. Files in torch's own format are not read; convert them first."
    )]
    NoComponent {
        place: String,
        component: &'static str,
    },
    /// A listing that can't be read.
    #[error("The hub's answer about {place} can't be read: {reason}.")]
    Answer { place: String, reason: String },
}

/// What a visitor may type to add a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelAddress {
    /// A repository whose model is the base.
    Base(HubRepository),
    /// A base and a distilled model.
    Pair(HubRepository, HubRepository),
    /// The address of a manifest.
    Manifest(String),
    /// The address of a single checkpoint file.
    Checkpoint(String),
    /// The address of a folder, with a slash at its end.
    Folder(String),
}

impl ModelAddress {
    /// Reads what was typed: a repository, two of them, or an https address.
    ///
    /// # Errors
    /// [`HubError::Text`].
    pub fn parse(text: &str) -> Result<Self, HubError> {
        let text = text.trim();
        let unknown = || HubError::Text { text: text.into() };
        if text.contains("://") {
            if !is_loadable(text) {
                return Err(unknown());
            }
            let path = text.split(['?', '#']).next().unwrap_or(text);
            return Ok(if path.ends_with(".json") {
                ModelAddress::Manifest(text.into())
            } else if path.ends_with(safetensors::ENDING) {
                ModelAddress::Checkpoint(text.into())
            } else {
                ModelAddress::Folder(format!("{}/", path.trim_end_matches('/')))
            });
        }
        let mut repositories = text.split('+').map(|part| repository(part.trim()));
        let first = repositories.next().flatten().ok_or_else(unknown)?;
        match (repositories.next(), repositories.next()) {
            (None, _) => Ok(ModelAddress::Base(first)),
            (Some(Some(second)), None) => Ok(ModelAddress::Pair(first, second)),
            _ => Err(unknown()),
        }
    }
}

fn repository(text: &str) -> Option<HubRepository> {
    let (repository, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let (owner, name) = repository.split_once('/')?;
    (is_name(owner) && is_name(name) && is_name(revision)).then(|| HubRepository {
        repository: repository.into(),
        revision: revision.into(),
    })
}

impl HubRepository {
    /// The address of a file; it may lead elsewhere.
    pub fn file_address(&self, hub: &str, path: &str) -> String {
        self.address(hub, "resolve", path)
    }

    /// The address of a large file's pointer, or of a small file itself.
    pub fn pointer_address(&self, hub: &str, path: &str) -> String {
        self.address(hub, "raw", path)
    }

    /// The address of the list of all files.
    pub fn listing_address(&self, hub: &str) -> String {
        let HubRepository {
            repository,
            revision,
        } = self;
        let hub = hub.trim_end_matches('/');
        format!("{hub}/api/models/{repository}/tree/{revision}?recursive=true")
    }

    fn address(&self, hub: &str, kind: &str, path: &str) -> String {
        let HubRepository {
            repository,
            revision,
        } = self;
        format!(
            "{}/{repository}/{kind}/{revision}/{path}",
            hub.trim_end_matches('/')
        )
    }
}

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

fn is_sha256(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path in the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Its SHA-256, which hubs know of large files alone.
    pub sha256: Option<String>,
}

/// Reads a hub's list of files.
///
/// # Errors
/// [`HubError::Answer`].
pub fn listing(place: &str, json: &str) -> Result<Vec<ListedFile>, HubError> {
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "type")]
        kind: String,
        path: String,
        #[serde(default)]
        size: u64,
        lfs: Option<Lfs>,
    }
    #[derive(Deserialize)]
    struct Lfs {
        oid: String,
        size: u64,
    }
    let entries: Vec<Entry> = serde_json::from_str(json).map_err(|error| HubError::Answer {
        place: place.into(),
        reason: error.to_string(),
    })?;
    Ok(entries
        .into_iter()
        .filter(|entry| entry.kind == "file")
        .map(|entry| ListedFile {
            size: entry.lfs.as_ref().map_or(entry.size, |lfs| lfs.size),
            sha256: entry.lfs.map(|lfs| lfs.oid).filter(|oid| is_sha256(oid)),
            path: entry.path,
        })
        .collect())
}

/// The weights in a component's folder of a repository, in half precision if there are such.
pub fn weight_files<'a>(files: &'a [ListedFile], folder: &str) -> Vec<&'a ListedFile> {
    let name = |file: &'a ListedFile| file.path.strip_prefix(folder)?.strip_prefix('/');
    let names: Vec<&str> = files.iter().filter_map(name).collect();
    weight_files::weight_files(&names, HALF_PRECISION_FIRST)
        .into_iter()
        .filter_map(|found| files.iter().find(|file| name(file) == Some(found)))
        .collect()
}

/// Puts another model in a component's place in a manifest's JSON: its config and its files. The
/// encodings stay as the manifest says.
#[expect(
    clippy::indexing_slicing,
    reason = "Value makes what is missing, and a manifest that was parsed is an object"
)]
pub fn replace_component(
    manifest: &mut Value,
    component: &str,
    config: Value,
    files: &[ManifestFile],
    prefix: &str,
) {
    let place = &mut manifest["components"][component];
    place["config"] = config;
    place["files"] = files.iter().map(file_json).collect();
    if !prefix.is_empty() {
        place["prefix"] = prefix.into();
    }
    // A whole model takes the place of an adapter, too.
    if let Some(place) = place.as_object_mut() {
        place.remove("adapter_on");
    }
}

fn file_json(file: &ManifestFile) -> Value {
    // Plain fields: there is nothing that could fail to be written.
    serde_json::to_value(file).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(repository: &str, revision: &str) -> HubRepository {
        HubRepository {
            repository: repository.into(),
            revision: revision.into(),
        }
    }

    #[test]
    fn repositories_and_addresses_are_told_apart() {
        let parse = |text| ModelAddress::parse(text).ok();
        assert_eq!(
            parse(" someone/xl-tuned "),
            Some(ModelAddress::Base(at("someone/xl-tuned", "main")))
        );
        assert_eq!(
            parse("a/base@0123abc + b/turbo"),
            Some(ModelAddress::Pair(
                at("a/base", "0123abc"),
                at("b/turbo", "main")
            ))
        );
        assert_eq!(
            parse("https://models.example/xl"),
            Some(ModelAddress::Folder("https://models.example/xl/".into()))
        );
        assert_eq!(
            parse("https://models.example/xl/manifest.json?v=2"),
            Some(ModelAddress::Manifest(
                "https://models.example/xl/manifest.json?v=2".into()
            ))
        );
        assert_eq!(
            parse("http://127.0.0.1:8080/a.safetensors"),
            Some(ModelAddress::Checkpoint(
                "http://127.0.0.1:8080/a.safetensors".into()
            ))
        );
        for wrong in [
            "",
            "name",
            "a/b/c",
            "../b",
            "a/b + c",
            "a/b+c/d+e/f",
            "ftp://a/b",
        ] {
            assert!(ModelAddress::parse(wrong).is_err(), "{wrong}");
        }
        // What isn't encrypted can be read and changed on its way.
        assert!(ModelAddress::parse("http://models.example/xl").is_err());
    }

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

    #[test]
    fn a_components_weights_are_those_in_its_folder() {
        let files = [
            "diffusion_pytorch_model.fp16.safetensors",
            "unet/deeper/diffusion_pytorch_model.fp16.safetensors",
            "unet/diffusion_pytorch_model.safetensors",
            "unet_2/diffusion_pytorch_model.fp16.safetensors",
        ]
        .map(|path| ListedFile {
            path: path.into(),
            size: 1,
            sha256: None,
        });
        assert_eq!(weight_files(&files, "unet"), [&files[2]]);
        assert!(weight_files(&files, "vae").is_empty());
    }
}
