//! What a visitor may type or paste to add a pair.

use super::civitai::{self, Page};
use super::error::HubError;
use crate::weights::format::safetensors;
use crate::weights::manifest::file::{HubRepository, is_loadable, is_name};
use crate::weights::manifest::percent::{decoded, encoded, encoded_path};
use crate::weights::manifest::secrets::without_secrets;

/// The branch that a repository without a revision is taken at.
const DEFAULT_REVISION: &str = "main";

/// Where Hugging Face's own pages are, and those of mirrors with the same addresses.
const HUB_HOSTS: [&str; 5] = [
    "huggingface.co",
    "www.huggingface.co",
    "hf.co",
    "www.hf.co",
    "hf-mirror.com",
];
const HUB: &str = "https://huggingface.co";
/// Names in the place of a repository's owner that hub pages of other kinds have.
const OTHER_PAGES: [(&str, &str); 10] = [
    ("datasets", "a data set"),
    ("spaces", "a Space"),
    ("collections", "a collection of repositories"),
    ("papers", "a paper"),
    ("docs", "documentation"),
    ("blog", "an article"),
    ("models", "a search for models"),
    ("posts", "a post"),
    ("organizations", "an organization"),
    ("settings", "an account's settings"),
];
/// Files that stand for the whole repository whose configuration they are.
const CONFIGS: [&str; 7] = [
    "model_index.json",
    "config.json",
    "scheduler_config.json",
    "tokenizer_config.json",
    "tokenizer.json",
    "adapter_config.json",
    "preprocessor_config.json",
];
/// Endings of files in formats of which no models are read.
const OTHER_FORMATS: [(&str, &str); 6] = [
    (".ckpt", "torch's own format"),
    (".pt", "torch's own format"),
    (".pth", "torch's own format"),
    (".bin", "torch's own format"),
    (".gguf", "GGUF"),
    (".onnx", "ONNX"),
];

/// What a visitor may type to add a pair.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelAddress {
    /// A repository whose model is the base.
    Base(HubRepository),
    /// A folder of a repository, which has a model's folders in it.
    Subfolder(HubRepository, String),
    /// A base and a distilled model, with the strength of the latter where it is an adapter.
    Pair {
        /// The base.
        base: Box<ModelAddress>,
        /// The distilled model.
        distilled: Box<ModelAddress>,
        /// How strongly an adapter takes effect; none: as it says itself.
        strength: Option<f32>,
    },
    /// The address of a manifest.
    Manifest(String),
    /// The address of a single safetensors file.
    Checkpoint(String),
    /// The address of a folder, with a slash at its end.
    Folder(String),
    /// A model at Civitai by its number, of which the newest version is meant.
    CivitaiModel(u64),
}

impl ModelAddress {
    /// Reads what was typed: a repository, an address, or two of them with a plus sign in between.
    ///
    /// # Errors
    /// A sentence on what the text is instead.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        Self::parse_for(text, HUB)
    }

    /// As [`ModelAddress::parse`], for a page whose hub has another address.
    ///
    /// # Errors
    /// As [`ModelAddress::parse`].
    pub fn parse_for(text: &str, hub: &str) -> Result<Self, HubError> {
        let text = text.trim().trim_matches(['"', '\'', '<', '>', '`']);
        match parts(text).as_slice() {
            [single_part] => single(single_part, hub),
            [base, distilled] => {
                let (distilled, strength) = with_strength(distilled)?;
                Ok(ModelAddress::Pair {
                    base: Box::new(single(base, hub)?),
                    distilled: Box::new(single(distilled, hub)?),
                    strength,
                })
            }
            _ => Err(unknown(text)),
        }
    }
}

/// As much of a text as a sentence repeats.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn unknown(text: &str) -> HubError {
    HubError::Text {
        text: shortened(&without_secrets(text)),
    }
}

/// The text cut at plus signs between two models. In an address one stands for itself, unless there are
/// blanks beside it.
fn parts(text: &str) -> Vec<&str> {
    let by_blanks: Vec<&str> = text.split(" + ").map(str::trim).collect();
    if by_blanks.len() > 1 || text.contains("://") {
        return by_blanks;
    }
    let by_signs: Vec<&str> = text.split('+').map(str::trim).collect();
    let are_repositories = by_signs.iter().all(|part| part.matches('/').count() == 1);
    if are_repositories {
        by_signs
    } else {
        by_blanks
    }
}

/// An adapter's strength behind its address: `owner/name * 0.7`.
fn with_strength(text: &str) -> Result<(&str, Option<f32>), HubError> {
    let Some((address, strength)) = text.rsplit_once(['*', '×']) else {
        return Ok((text, None));
    };
    let strength = strength.trim();
    match strength.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok((address.trim(), Some(number))),
        _ => Err(HubError::Strength {
            text: strength.into(),
        }),
    }
}

fn single(text: &str, hub: &str) -> Result<ModelAddress, HubError> {
    let hub = hub.trim_end_matches('/');
    if let Some(rest) = text.strip_prefix("hf://") {
        return repository(rest.trim_start_matches("models/")).ok_or_else(|| unknown(text));
    }
    if let Some(version) = text
        .strip_prefix("urn:air:")
        .and_then(|_| text.rsplit_once('@'))
    {
        let names = ["model-versions".to_owned(), version.1.to_owned()];
        return civitai_address(&names, "", text);
    }
    let own = text.strip_prefix(hub).filter(|rest| rest.starts_with('/'));
    if let Some(own) = own.filter(|_| hub != HUB) {
        let (names, _) = names_and_query(own);
        if let Some(address) = hub_page(&names, hub, false)? {
            return Ok(address);
        }
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, text),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host_name = host.to_ascii_lowercase();
    let is_web = matches!(scheme.as_deref(), None | Some("https" | "http"));
    if is_web && HUB_HOSTS.contains(&host_name.as_str()) {
        let (names, _) = names_and_query(rest.get(host.len()..).unwrap_or_default());
        let page = hub_page(&names, HUB, true)?;
        return page.ok_or_else(|| unknown(text));
    }
    if is_web && civitai::is_civitai(rest) {
        let (names, query) = names_and_query(rest.get(host.len()..).unwrap_or_default());
        return civitai_address(&names, query, text);
    }
    if scheme.is_some() {
        return address(text);
    }
    if let Some(address) = repository(text) {
        return Ok(address);
    }
    // An address as browsers show it, without its scheme.
    let is_local = ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|name| host == *name || host.starts_with(&format!("{name}:")));
    match host.contains('.') && rest.len() > host.len() + 1 {
        _ if is_local => address(&format!("http://{text}")),
        true if !host.starts_with('.') => address(&format!("https://{text}")),
        _ => Err(unknown(text)),
    }
}

/// The names between the slashes of an address's path, decoded, and its query.
fn names_and_query(rest: &str) -> (Vec<String>, &str) {
    let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let names = path.split('/').filter(|name| !name.is_empty());
    (names.map(decoded).collect(), query)
}

fn civitai_address(names: &[String], query: &str, text: &str) -> Result<ModelAddress, HubError> {
    match civitai::page(names, query) {
        Page::File(url) => Ok(ModelAddress::Checkpoint(url)),
        Page::Model(model) => Ok(ModelAddress::CivitaiModel(model)),
        Page::Other => Err(HubError::Page {
            text: without_secrets(text),
            kind: "a page of Civitai that is none of a model",
        }),
    }
}

/// What a repository's page leads to, by the names in its path. None where it is no such page, which on the
/// hub's own host (`is_surely_hub`) is an error.
fn hub_page(
    names: &[String],
    hub: &str,
    is_surely_hub: bool,
) -> Result<Option<ModelAddress>, HubError> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let names = names
        .strip_prefix(["api", "models"].as_slice())
        .unwrap_or(&names);
    let other = names.first().and_then(|first| {
        let page = OTHER_PAGES.iter().find(|(name, _)| name == first);
        page.filter(|_| is_surely_hub).map(|(_, kind)| *kind)
    });
    if let Some(kind) = other {
        return Err(HubError::Page {
            text: format!("{hub}/{}", names.join("/")),
            kind,
        });
    }
    let [owner, name, rest @ ..] = names else {
        if is_surely_hub && names.len() == 1 {
            return Err(HubError::Page {
                text: format!("{hub}/{}", names.join("/")),
                kind: "the page of an account",
            });
        }
        return Ok(None);
    };
    let name = name.strip_suffix(".git").unwrap_or(name);
    if !is_name(owner) || !is_name(name) {
        return Ok(None);
    }
    let at = |revision: &str| HubRepository {
        repository: format!("{owner}/{name}"),
        revision: revision.to_owned(),
    };
    let Some((kind, rest)) = rest.split_first() else {
        // A file beside the repositories of a hub that is the page's own alone.
        if !is_surely_hub && is_file(name) {
            return Ok(None);
        }
        return Ok(Some(ModelAddress::Base(at(DEFAULT_REVISION))));
    };
    let (revision, path) = revision_and_path(rest);
    if !is_revision(&revision) {
        return Ok(None);
    }
    match *kind {
        "tree" | "commit" | "commits" => Ok(Some(folder(at(&revision), &path))),
        "blob" | "resolve" | "raw" | "blame" | "edit" if !path.is_empty() => {
            file(at(&revision), &path, hub).map(Some)
        }
        // Its discussions, its community tab and whatever else its page leads to.
        _ if is_surely_hub => Ok(Some(ModelAddress::Base(at(DEFAULT_REVISION)))),
        _ => Ok(None),
    }
}

/// Whether a name is that of a file which is read: no repository is called so.
fn is_file(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    lower.ends_with(safetensors::ENDING) || lower.ends_with(".json")
}

/// The revision at the beginning of a path, and what follows it. One with slashes is encoded in the hub's own
/// addresses, but for those that the hub makes for pull requests and conversions.
fn revision_and_path(names: &[&str]) -> (String, String) {
    match names {
        [] => (DEFAULT_REVISION.into(), String::new()),
        ["refs", kind, name, path @ ..] => (format!("refs/{kind}/{name}"), path.join("/")),
        [revision, path @ ..] => ((*revision).to_owned(), path.join("/")),
    }
}

fn is_revision(text: &str) -> bool {
    text.split('/').all(is_name)
}

/// A folder of a repository: one of a model's own components stands for the model around it.
fn folder(hub: HubRepository, path: &str) -> ModelAddress {
    const COMPONENTS: [&str; 8] = [
        "unet",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
        "scheduler",
        "vae_1_0",
    ];
    let path = path.trim_matches('/');
    let last = path.rsplit('/').next().unwrap_or(path);
    let path = match COMPONENTS.contains(&last) {
        true => path.strip_suffix(last).unwrap_or(path).trim_matches('/'),
        false => path,
    };
    if path.is_empty() {
        ModelAddress::Base(hub)
    } else {
        ModelAddress::Subfolder(hub, path.to_owned())
    }
}

/// A file of a repository.
fn file(hub: HubRepository, path: &str, address: &str) -> Result<ModelAddress, HubError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let resolved = || {
        format!(
            "{address}/{}/resolve/{}/{}",
            hub.repository,
            encoded(&hub.revision),
            encoded_path(path)
        )
    };
    let lower = name.to_ascii_lowercase();
    if lower.ends_with(safetensors::ENDING) {
        return Ok(ModelAddress::Checkpoint(resolved()));
    }
    if let Some(error) = other_format(name) {
        return Err(error);
    }
    let is_config = CONFIGS.contains(&lower.as_str()) || lower.ends_with(".index.json");
    if lower.ends_with(".json") && !is_config && !lower.contains(".index.") {
        return Ok(ModelAddress::Manifest(resolved()));
    }
    Ok(folder(hub, parent))
}

fn other_format(name: &str) -> Option<HubError> {
    let lower = name.to_ascii_lowercase();
    let (_, format) = OTHER_FORMATS
        .iter()
        .find(|(ending, _)| lower.ends_with(ending))?;
    Some(HubError::Format {
        file: name.to_owned(),
        format,
    })
}

/// A repository as `owner/name`, with a revision after an `@` or what follows it in its page's address.
fn repository(text: &str) -> Option<ModelAddress> {
    let text = text.trim_end_matches('/');
    let (path, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
    let (names, _) = names_and_query(path);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let [owner, name, rest @ ..] = names.as_slice() else {
        return None;
    };
    if !is_name(owner) || !is_name(name) || !is_revision(revision) {
        return None;
    }
    if rest.is_empty() {
        return (!is_file(name)).then(|| {
            ModelAddress::Base(HubRepository {
                repository: format!("{owner}/{name}"),
                revision: revision.to_owned(),
            })
        });
    }
    if owner.contains('.') {
        return None;
    }
    let own: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    if let Ok(Some(address)) = hub_page(&own, HUB, false) {
        return Some(address);
    }
    // A file by its path in the repository.
    let hub = HubRepository {
        repository: format!("{owner}/{name}"),
        revision: revision.to_owned(),
    };
    let path = rest.join("/");
    let is_model = path.to_ascii_lowercase().ends_with(safetensors::ENDING);
    is_model.then(|| file(hub, &path, HUB).ok()).flatten()
}

/// Any other address: of a manifest or a file by its ending, and else of a folder.
fn address(text: &str) -> Result<ModelAddress, HubError> {
    let (text, _) = text.split_once('#').unwrap_or((text, ""));
    if !is_loadable(text) {
        return Err(unknown(text));
    }
    let path = text.split('?').next().unwrap_or(text);
    let name = decoded(path.rsplit('/').next().unwrap_or(path));
    let lower = name.to_ascii_lowercase();
    if let Some(error) = other_format(&name) {
        return Err(error);
    }
    Ok(if lower.ends_with(".json") {
        ModelAddress::Manifest(text.into())
    } else if lower.ends_with(safetensors::ENDING) {
        ModelAddress::Checkpoint(text.into())
    } else {
        ModelAddress::Folder(format!("{}/", path.trim_end_matches('/')))
    })
}

/// The repository and the path in it of a file's address at the hub; none of an address elsewhere.
pub fn file_at_hub(url: &str, hub: &str) -> Option<(HubRepository, String)> {
    let own = url.strip_prefix(hub.trim_end_matches('/'));
    let rest = own.or_else(|| url.strip_prefix(HUB))?;
    let (names, _) = names_and_query(rest);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let [owner, name, "resolve", rest @ ..] = names.as_slice() else {
        return None;
    };
    let (revision, path) = revision_and_path(rest);
    let is_sound = is_name(owner) && is_name(name) && is_revision(&revision) && !path.is_empty();
    is_sound.then(|| {
        let repository = format!("{owner}/{name}");
        (
            HubRepository {
                repository,
                revision,
            },
            path,
        )
    })
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

    fn base(repository: &str, revision: &str) -> Option<ModelAddress> {
        Some(ModelAddress::Base(at(repository, revision)))
    }

    fn parse(text: &str) -> Option<ModelAddress> {
        ModelAddress::parse(text).ok()
    }

    #[test]
    fn repositories_and_addresses_are_told_apart() {
        assert_eq!(
            parse(" someone/xl-tuned "),
            base("someone/xl-tuned", "main")
        );
        for text in ["a/base@0123abc + b/turbo", "a/base@0123abc+b/turbo"] {
            assert_eq!(
                parse(text),
                Some(ModelAddress::Pair {
                    base: Box::new(ModelAddress::Base(at("a/base", "0123abc"))),
                    distilled: Box::new(ModelAddress::Base(at("b/turbo", "main"))),
                    strength: None
                })
            );
        }
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
        for (typed, url) in [
            (
                "http://127.0.0.1:8080/a.safetensors",
                "http://127.0.0.1:8080/a.safetensors",
            ),
            (
                "localhost:8080/models/a.safetensors",
                "http://localhost:8080/models/a.safetensors",
            ),
            (
                "models.example/some+xl.safetensors",
                "https://models.example/some+xl.safetensors",
            ),
        ] {
            assert_eq!(parse(typed), Some(ModelAddress::Checkpoint(url.into())));
        }
        for wrong in [
            "",
            "name",
            "a/b/c",
            "../b",
            "a/b + c",
            "a/b+c/d+e/f",
            "ftp://a/b",
            "a/b@",
            "https://huggingface.co",
        ] {
            assert!(ModelAddress::parse(wrong).is_err(), "{wrong}");
        }
        // What isn't encrypted can be read and changed on its way.
        assert!(ModelAddress::parse("http://models.example/xl").is_err());
    }

    #[test]
    fn the_hubs_pages_are_their_repositories_at_their_revisions() {
        for (text, revision) in [
            ("http://www.huggingface.co/a/b", "main"),
            ("a/b@refs/pr/3", "refs/pr/3"),
            ("https://huggingface.co/a/b/tree/refs%2Fpr%2F3", "refs/pr/3"),
            (
                "https://huggingface.co/a/b/tree/refs/pr/3/unet",
                "refs/pr/3",
            ),
            ("https://huggingface.co/a/b/tree/feature%2Fx", "feature/x"),
            ("https://huggingface.co/a/b/blob/v2/model_index.json", "v2"),
            (
                "https://huggingface.co/a/b/blob/main/unet/config.json",
                "main",
            ),
            ("https://huggingface.co/a/b/discussions/3", "main"),
            ("https://huggingface.co/a/b/commit/0123abc", "0123abc"),
            ("https://huggingface.co/api/models/a/b/tree/main", "main"),
            ("https://huggingface.co/a/b.git", "main"),
            ("hf://a/b", "main"),
            ("a/b/tree/main", "main"),
        ] {
            assert_eq!(parse(text), base("a/b", revision), "{text}");
        }
        assert_eq!(
            parse("https://huggingface.co/a/b/tree/main/xl/unet"),
            Some(ModelAddress::Subfolder(at("a/b", "main"), "xl".into()))
        );
        for (text, says) in [
            ("https://huggingface.co/spaces/a/b", "a Space"),
            ("https://huggingface.co/someone", "an account"),
            ("https://huggingface.co/a/b/blob/main/x.ckpt", "torch's own"),
            ("https://civitai.com/images/1", "Civitai"),
        ] {
            let error = ModelAddress::parse(text).expect_err(text).to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_page_of_another_hub_is_understood_where_it_is_the_pages_own() {
        let hub = "http://127.0.0.1:9000/";
        let parse = |text: &str| ModelAddress::parse_for(text, hub).ok();
        assert_eq!(parse("http://127.0.0.1:9000/a/b"), base("a/b", "main"));
        assert_eq!(
            parse("http://127.0.0.1:9000/static/x.safetensors"),
            Some(ModelAddress::Checkpoint(
                "http://127.0.0.1:9000/static/x.safetensors".into()
            ))
        );
        assert_eq!(
            parse("http://127.0.0.1:9000/static/pair/manifest.json"),
            Some(ModelAddress::Manifest(
                "http://127.0.0.1:9000/static/pair/manifest.json".into()
            ))
        );
        let url = "http://127.0.0.1:9000/a/b/resolve/main/folder/my%20x.safetensors";
        assert_eq!(
            file_at_hub(url, hub),
            Some((at("a/b", "main"), "folder/my x.safetensors".into()))
        );
        assert_eq!(file_at_hub("https://a.example/b/resolve/c/d", hub), None);
    }

    #[test]
    fn a_distilled_adapter_may_have_a_strength() {
        for text in ["a/b + c/d * 0.7", "a/b + c/d ×0.7"] {
            let Some(ModelAddress::Pair { strength, .. }) = parse(text) else {
                panic!("{text} is a pair");
            };
            assert_eq!(strength, Some(0.7));
        }
        let error = ModelAddress::parse("a/b + c/d * strong").expect_err("no number");
        assert!(error.to_string().contains("strong"), "{error}");
    }

    #[test]
    fn civitais_addresses_are_files_or_models() {
        let version = "https://civitai.com/api/download/models/128078";
        for text in [
            "https://civitai.com/models/101055/some-xl?modelVersionId=128078",
            "civitai.com/models/101055?modelVersionId=128078",
            "https://civitai.com/api/v1/model-versions/128078",
            "urn:air:sdxl:checkpoint:civitai:101055@128078",
        ] {
            let expected = Some(ModelAddress::Checkpoint(version.into()));
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(
            parse("https://civitai.com/models/101055/some-xl"),
            Some(ModelAddress::CivitaiModel(101_055))
        );
    }

    #[test]
    fn what_is_refused_is_shown_without_its_token() {
        let error = ModelAddress::parse("http://a.example/x?token=0123").expect_err("no https");
        assert!(!error.to_string().contains("0123"), "{error}");
    }
}
