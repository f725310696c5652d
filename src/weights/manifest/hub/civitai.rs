//! Civitai's addresses: models have pages by number, their versions are files.

use serde_json::Value;

use crate::weights::format::safetensors::ENDING;

/// The hosts under which Civitai's pages are.
const HOSTS: [&str; 4] = [
    "civitai.com",
    "www.civitai.com",
    "civitai.green",
    "civitai.red",
];
const ADDRESS: &str = "https://civitai.com";

/// What one of Civitai's addresses leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The address of a version's file.
    File(String),
    /// A model by its number, of which the newest version is meant.
    Model(u64),
    /// Something else.
    Other,
}

/// Whether an address is one of Civitai's.
pub fn is_civitai(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    HOSTS.contains(&host.to_ascii_lowercase().as_str())
}

/// The number of the version in a download's address.
pub fn version_of(url: &str) -> Option<u64> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let (_, version) = path.split_once("/api/download/models/")?;
    version.trim_end_matches('/').parse().ok()
}

/// What a page at Civitai is, by the names in its path and its query.
pub(super) fn page(names: &[String], query: &str) -> Page {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    let version = query.split('&').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        number(value).filter(|_| name == "modelVersionId")
    });
    match names.as_slice() {
        ["api", "download", "models", version, ..] if number(version).is_some() => {
            let query = if query.is_empty() {
                String::new()
            } else {
                format!("?{query}")
            };
            Page::File(format!("{ADDRESS}/api/download/models/{version}{query}"))
        }
        ["models", model, ..] | ["api", "v1", "models", model, ..] => {
            match (version, number(model)) {
                (Some(version), _) => Page::File(download(version)),
                (None, Some(model)) => Page::Model(model),
                (None, None) => Page::Other,
            }
        }
        ["model-versions", version, ..] | ["api", "v1", "model-versions", version, ..] => {
            number(version).map_or(Page::Other, |version| Page::File(download(version)))
        }
        _ => Page::Other,
    }
}

fn download(version: u64) -> String {
    format!("{ADDRESS}/api/download/models/{version}")
}

/// The address at which Civitai tells of a model.
pub fn model_address(model: u64) -> String {
    format!("{ADDRESS}/api/v1/models/{model}")
}

/// The address of the newest version's file, out of what Civitai tells of a model; none where it has no file
/// as safetensors.
pub fn newest_file(answer: &Value) -> Option<String> {
    let versions = answer.get("modelVersions")?.as_array()?;
    versions.iter().find_map(|version| {
        let files = version.get("files")?.as_array()?;
        let is_usable = |file: &&Value| {
            let name = file.get("name").and_then(Value::as_str);
            name.is_some_and(|name| name.to_ascii_lowercase().ends_with(ENDING))
        };
        let is_primary = |file: &&Value| file.get("primary").and_then(Value::as_bool) == Some(true);
        let usable = || files.iter().filter(is_usable);
        let file = usable().find(is_primary).or_else(|| usable().next())?;
        let url = file.get("downloadUrl")?.as_str()?;
        is_civitai(url).then(|| url.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_with_safetensors_is_found() {
        let answer = serde_json::json!({"modelVersions": [
            {"files": [{"name": "a.ckpt", "downloadUrl": "https://civitai.com/api/download/models/9"}]},
            {"files": [
                {"name": "b.pt", "downloadUrl": "https://civitai.com/api/download/models/7"},
                {"name": "b.safetensors", "primary": true,
                 "downloadUrl": "https://civitai.com/api/download/models/8"},
            ]},
        ]});
        let found = newest_file(&answer);
        assert_eq!(
            found.as_deref(),
            Some("https://civitai.com/api/download/models/8")
        );
        assert_eq!(version_of(&found.unwrap_or_default()), Some(8));
        assert_eq!(newest_file(&serde_json::json!({})), None);
    }
}
