//! What a visitor may name in place of a manifest, and what hubs say of their files.
//!
//! A hub (Hugging Face's, or another that speaks its addresses) has repositories in diffusers'
//! layout. `<hub>/<repository>/resolve/<revision>/<path>` leads to a file, and `raw` in its place
//! to the Git LFS pointer of a large one, which holds its SHA-256 and size.
//! `<hub>/api/models/<repository>/tree/<revision>?recursive=true` lists the files with both.

use serde::Deserialize;
use serde_json::Value;

use super::{HubRepository, ManifestFile, is_loadable};

/// The branch that a repository without a revision is taken at.
const DEFAULT_REVISION: &str = "main";

/// Why what the visitor gave, or what a host answered, can't be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HubError {
    /// Neither a repository nor an address.
    #[error(
        "“{text}” is neither a hub's repository (owner/name, with @revision if you like), nor two of \
         them (base + distilled), nor an https address of a manifest, a folder or a checkpoint."
    )]
    Text {
        /// What was given.
        text: String,
    },
    /// A repository without a model.
    #[error(
        "{place} has no {component} in diffusers' layout: {component}/config.json and its weights as \
         safetensors are expected there. Files in torch's own format are not read; convert them first."
    )]
    NoComponent {
        /// The repository or address.
        place: String,
        /// The component's folder.
        component: &'static str,
    },
    /// A listing that can't be read.
    #[error("The hub's answer about {place} can't be read: {reason}.")]
    Answer {
        /// The repository.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a visitor means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
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

impl Given {
    /// Reads what was typed.
    ///
    /// # Errors
    /// [`HubError::Text`].
    pub fn read(text: &str) -> Result<Self, HubError> {
        let text = text.trim();
        let unknown = || HubError::Text { text: text.into() };
        if text.contains("://") {
            if !is_loadable(text) {
                return Err(unknown());
            }
            let path = text.split(['?', '#']).next().unwrap_or(text);
            return Ok(if path.ends_with(".json") {
                Given::Manifest(text.into())
            } else if path.ends_with(".safetensors") {
                Given::Checkpoint(text.into())
            } else {
                Given::Folder(format!("{}/", path.trim_end_matches('/')))
            });
        }
        let mut repositories = text.split('+').map(|part| repository(part.trim()));
        let first = repositories.next().flatten().ok_or_else(unknown)?;
        match (repositories.next(), repositories.next()) {
            (None, _) => Ok(Given::Base(first)),
            (Some(Some(second)), None) => Ok(Given::Pair(first, second)),
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

/// SHA-256 and size of a Git LFS pointer; none for any other text.
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
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path.
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

/// The weights of a component's folder: a single file or the shards of one, in half precision if
/// there is such a variant.
pub fn weight_files<'a>(files: &'a [ListedFile], folder: &str) -> Vec<&'a ListedFile> {
    for variant in [".fp16", ""] {
        for stem in ["diffusion_pytorch_model", "model"] {
            let single = format!("{folder}/{stem}{variant}.safetensors");
            let found: Vec<_> = files.iter().filter(|file| file.path == single).collect();
            if !found.is_empty() {
                return found;
            }
            // `model-00001-of-00002.safetensors`, `model.fp16-00001-of-00002.safetensors`.
            let start = format!("{folder}/{stem}{variant}-");
            let mut shards: Vec<_> = files
                .iter()
                .filter(|file| {
                    file.path
                        .strip_prefix(&start)
                        .is_some_and(|rest| rest.contains("-of-") && rest.ends_with(".safetensors"))
                })
                .collect();
            if !shards.is_empty() {
                shards.sort_by(|a, b| a.path.cmp(&b.path));
                return shards;
            }
        }
    }
    Vec::new()
}

/// Puts another model in a component's place in a manifest's JSON: its config and its files. How
/// they are stored stays as the manifest says.
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
        let read = |text| Given::read(text).ok();
        assert_eq!(
            read(" someone/xl-tuned "),
            Some(Given::Base(at("someone/xl-tuned", "main")))
        );
        assert_eq!(
            read("a/base@0123abc + b/turbo"),
            Some(Given::Pair(at("a/base", "0123abc"), at("b/turbo", "main")))
        );
        assert_eq!(
            read("https://models.example/xl"),
            Some(Given::Folder("https://models.example/xl/".into()))
        );
        assert_eq!(
            read("https://models.example/xl/manifest.json?v=2"),
            Some(Given::Manifest(
                "https://models.example/xl/manifest.json?v=2".into()
            ))
        );
        assert_eq!(
            read("http://127.0.0.1:8080/a.safetensors"),
            Some(Given::Checkpoint(
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
            assert!(Given::read(wrong).is_err(), "{wrong}");
        }
        // What isn't encrypted can be read and changed on its way.
        assert!(Given::read("http://models.example/xl").is_err());
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
    fn weights_are_found_in_half_precision_first_and_with_all_shards() {
        let files: Vec<_> = [
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.fp16.safetensors",
            "text_encoder_2/model-00002-of-00002.safetensors",
            "text_encoder_2/model-00001-of-00002.safetensors",
            "vae/diffusion_pytorch_model.bin",
        ]
        .map(|path| ListedFile {
            path: path.into(),
            size: 1,
            sha256: None,
        })
        .into();
        let paths = |folder| -> Vec<&str> {
            weight_files(&files, folder)
                .iter()
                .map(|file| file.path.as_str())
                .collect()
        };
        assert_eq!(
            paths("unet"),
            ["unet/diffusion_pytorch_model.fp16.safetensors"]
        );
        assert_eq!(
            paths("text_encoder_2"),
            [
                "text_encoder_2/model-00001-of-00002.safetensors",
                "text_encoder_2/model-00002-of-00002.safetensors"
            ]
        );
        assert!(paths("vae").is_empty());
    }
}
