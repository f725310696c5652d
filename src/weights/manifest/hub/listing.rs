//! The list of a repository's files, and which of them are a model's.

use serde::Deserialize;

use super::error::HubError;
use super::published::is_sha256;
use crate::weights::format::safetensors::ENDING;
use crate::weights::manifest::weight_files::{self, HALF_PRECISION_FIRST};

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

/// The path of the index that says which of a component's shards belong together; none where its weights are
/// one file, or there is no index.
pub fn index_of(files: &[ListedFile], folder: &str) -> Option<String> {
    let names = files
        .iter()
        .filter_map(|file| file.path.strip_prefix(folder)?.strip_prefix('/'));
    let names: Vec<&str> = names.collect();
    let index = weight_files::index_file(&names, HALF_PRECISION_FIRST)?;
    Some(format!("{folder}/{index}"))
}

/// Those of a component's weights that its index names; all of them where it names one that isn't there.
pub fn files_by_index<'a>(
    files: &'a [ListedFile],
    folder: &str,
    index: &str,
) -> Vec<&'a ListedFile> {
    let named = weight_files::files_in_index(index);
    let found: Option<Vec<&ListedFile>> = named
        .iter()
        .map(|name| {
            let path = format!("{folder}/{name}");
            files.iter().find(|file| file.path == path)
        })
        .collect();
    found
        .filter(|found| !found.is_empty())
        .unwrap_or_else(|| weight_files(files, folder))
}

/// The address of the next page of a list, out of the answer's `Link` header; none after the last page, or
/// where the page is on another host than the one before it.
pub fn next_page(link: &str, url: &str) -> Option<String> {
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let host = rest.split('/').next()?;
        Some((scheme.to_owned(), host.to_owned()))
    };
    let next = link.split(',').find_map(|part| {
        let (target, parameters) = part.split_once(';')?;
        let is_next = parameters.split(';').any(|parameter| {
            let parameter = parameter.trim().to_ascii_lowercase();
            parameter == "rel=\"next\"" || parameter == "rel=next"
        });
        let target = target.trim().strip_prefix('<')?.strip_suffix('>')?;
        is_next.then(|| target.to_owned())
    })?;
    let next = match next.strip_prefix('/') {
        Some(path) => {
            let (scheme, host) = origin(url)?;
            format!("{scheme}://{host}/{path}")
        }
        None => next,
    };
    (origin(&next)? == origin(url)?).then_some(next)
}

/// The file of a distilled model in a repository without `unet/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DistilledFile<'a> {
    /// The file.
    pub file: &'a ListedFile,
    /// Whether its name says that it is an adapter. Its header says it surely.
    pub is_adapter: bool,
}

/// The distilled model among the files beside a repository's README: diffusers' or PEFT's LoRA file, else the
/// LoRA or else the UNet by its name, for four steps where there are several; none where there is no such file.
///
/// # Errors
/// [`HubError::Several`].
pub fn distilled_file<'a>(
    place: &str,
    files: &'a [ListedFile],
) -> Result<Option<DistilledFile<'a>>, HubError> {
    let candidates: Vec<&ListedFile> = files
        .iter()
        .filter(|file| !file.path.contains('/') && file.path.ends_with(ENDING))
        .collect();
    let has = |file: &ListedFile, word: &str| file.path.to_ascii_lowercase().contains(word);
    let usual = ["pytorch_lora_weights", "adapter_model"];
    if let Some(file) = candidates.iter().find(|file| {
        usual
            .iter()
            .any(|stem| file.path == format!("{stem}{ENDING}"))
    }) {
        return Ok(Some(DistilledFile {
            file,
            is_adapter: true,
        }));
    }
    for (word, is_adapter) in [("lora", true), ("unet", false), ("", false)] {
        let mut named: Vec<&ListedFile> = candidates
            .iter()
            .copied()
            .filter(|file| has(file, word))
            .collect();
        // Of several, the one for the usual number of steps, and of those the one in half precision.
        for wish in ["sdxl", "4step", "fp16"] {
            if named.len() > 1 && named.iter().any(|file| has(file, wish)) {
                named.retain(|file| has(file, wish));
            }
        }
        match named.as_slice() {
            [] => {}
            [file] => return Ok(Some(DistilledFile { file, is_adapter })),
            [first, second, ..] => {
                return Err(HubError::Several {
                    place: place.to_owned(),
                    first: first.path.clone(),
                    second: second.path.clone(),
                });
            }
        }
    }
    Ok(None)
}

/// The page's own pairs with known distilled models: a word in the names of such models, and the manifests of
/// the adapter and of the whole model.
const KNOWN_MODELS: [(&str, &str, &str); 4] = [
    (
        "lightning",
        "pairs/sdxl-lightning-lora.json",
        "pairs/sdxl-lightning.json",
    ),
    ("lcm", "pairs/sdxl-lcm-lora.json", "pairs/sdxl-lcm.json"),
    ("turbo", "pairs/sdxl-turbo.json", "pairs/sdxl-turbo.json"),
    ("dmd", "pairs/sdxl-dmd2-lora.json", "pairs/sdxl-dmd2.json"),
];

/// The page's own pair whose distilled model has the scheduler that one of this name was made for; none of an
/// unknown name.
pub fn known_distilled(name: &str, is_adapter: bool) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let (_, adapter, whole) = KNOWN_MODELS
        .iter()
        .find(|(word, _, _)| name.contains(word))?;
    Some(if is_adapter { adapter } else { whole })
}

/// The number of steps that a model was distilled for, where its name says it: `4step`, `8-steps`.
pub fn steps_in_name(name: &str) -> Option<u32> {
    let name = name.to_ascii_lowercase();
    let (before, _) = name.split_once("step")?;
    let before = before.trim_end_matches(['-', '_']);
    let digits = before.len()
        - before
            .trim_end_matches(|it: char| it.is_ascii_digit())
            .len();
    let steps = before.get(before.len() - digits..)?.parse().ok()?;
    (1..=50).contains(&steps).then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_next_page_is_followed_on_the_same_host_alone() {
        let url = "https://hub.example/api/models/a/b/tree/main?recursive=true";
        let next = format!("{url}&cursor=abc");
        for link in [
            format!("<{next}>; rel=\"next\""),
            format!("<https://hub.example/>; rel=\"first\", <{next}>; rel=\"next\""),
            "</api/models/a/b/tree/main?recursive=true&cursor=abc>; rel=next".to_owned(),
        ] {
            assert_eq!(next_page(&link, url).as_ref(), Some(&next), "{link}");
        }
        for link in [
            "<https://other.example/>; rel=\"next\"".to_owned(),
            format!("<{next}>; rel=\"last\""),
            String::new(),
        ] {
            assert_eq!(next_page(&link, url), None, "{link}");
        }
    }

    #[test]
    fn a_distilled_models_name_tells_its_scheduler_and_steps() {
        let lightning = "sdxl_lightning_8step_lora.safetensors";
        assert_eq!(
            known_distilled(lightning, true),
            Some("pairs/sdxl-lightning-lora.json")
        );
        assert_eq!(steps_in_name(lightning), Some(8));
        assert_eq!(known_distilled("some-style", true), None);
        for name in ["steps", "0step", "stepwise", "x"] {
            assert_eq!(steps_in_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_index_says_which_shards_belong_together() {
        let names = [
            "unet/model-00001-of-00002.safetensors",
            "unet/model-00002-of-00002.safetensors",
            "unet/model-00001-of-00001.safetensors",
            "unet/model.safetensors.index.json",
        ];
        let files = names.map(|path| ListedFile {
            path: path.into(),
            size: 1,
            sha256: None,
        });
        assert_eq!(weight_files(&files, "unet"), [&files[2]]);
        let index = r#"{"weight_map": {"a": "model-00001-of-00002.safetensors",
            "b": "model-00002-of-00002.safetensors"}}"#;
        assert_eq!(
            files_by_index(&files, "unet", index),
            [&files[0], &files[1]]
        );
        assert_eq!(files_by_index(&files, "unet", "{}"), [&files[2]]);
        assert_eq!(index_of(&files[..2], "unet"), None);
        let split = [files[0].clone(), files[1].clone(), files[3].clone()];
        assert_eq!(index_of(&split, "unet").as_deref(), Some(names[3]));
    }

    #[test]
    fn of_several_distilled_files_the_usual_one_is_taken_or_none() {
        let listed = |paths: &[&str]| -> Vec<ListedFile> {
            let files = paths.iter().map(|path| ListedFile {
                path: (*path).into(),
                size: 1,
                sha256: None,
            });
            files.collect()
        };
        let found = |paths: &[&str]| {
            let files = listed(paths);
            distilled_file("a/b", &files)
                .map(|found| found.map(|found| (found.file.path.clone(), found.is_adapter)))
        };
        let lightning = [
            "sdxl_lightning_2step_lora.safetensors",
            "sdxl_lightning_4step_lora.safetensors",
            "sdxl_lightning_4step_unet.safetensors",
            "sdxl_lightning_4step.safetensors",
        ];
        assert_eq!(found(&lightning), Ok(Some((lightning[1].into(), true))));
        assert_eq!(
            found(&["turbo.safetensors", "README.md"]),
            Ok(Some(("turbo.safetensors".into(), false)))
        );
        assert!(found(&["a.safetensors", "b.safetensors"]).is_err());
        assert_eq!(found(&["unet/a.safetensors"]), Ok(None));
    }
}
