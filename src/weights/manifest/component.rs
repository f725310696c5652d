//! The models and tokenizers of a pair.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::ManifestFile;
use crate::weights::format::rules::EncodingRule;
use crate::weights::format::sha256::sha256;

/// Raised when the same bytes and rules give other records than before, and a record doesn't tell which
/// of the two it is: the store then takes them for other files, and never mixes the two. A record tells
/// the order of its values.
const RECORDS_VERSION: u32 = 1;

/// Components without which a pair can't draw.
pub(super) const REQUIRED_COMPONENTS: [&str; 7] = [
    "unet",
    "unet_distilled",
    "text_encoder",
    "text_encoder_2",
    "vae",
    "tokenizer",
    "tokenizer_2",
];

/// The component that an adapter is put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterBase {
    /// [`Components::unet`].
    Unet,
}

/// A model or tokenizer of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// diffusers' `config.json` (of the model with the adapter on, where there is one), or a
    /// tokenizer's `tokenizer_config.json`.
    pub config: serde_json::Value,
    /// The weights in one or more safetensors files, or a tokenizer's `vocab.json` and `merges.txt`.
    pub files: Vec<ManifestFile>,
    /// Set where the files hold an `adapters::Adapter`: the weights are those of
    /// this component with the adapter merged in. Only [`Components::unet_distilled`] can be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_on: Option<AdapterBase>,
    /// PEFT's `adapter_config.json` of an adapter whose file has no such configuration in its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter_config: Option<serde_json::Value>,
    /// How strongly an adapter takes effect: 1, or nothing, as its file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<f32>,
    /// How the tensors are stored when they arrive in another form; the first rule that fits a tensor
    /// counts, and one without a rule is stored as f16. Empty: as they are in the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encodings: Vec<EncodingRule>,
    /// What stands before the names of this component's tensors in its files, where several share
    /// one, as in a single-file checkpoint: `unet.`, `vae.`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
}

/// The components by diffusers' names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// The base model.
    pub unet: Component,
    /// The distilled model.
    pub unet_distilled: Component,
    /// CLIP without projection.
    pub text_encoder: Component,
    /// CLIP with projection, whose pooled output conditions the UNets.
    pub text_encoder_2: Component,
    /// The full VAE, of which the page loads the decoder.
    pub vae: Component,
    /// A small decoder for previews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiny_decoder: Option<Component>,
    /// Of [`Components::text_encoder`].
    pub tokenizer: Component,
    /// Of [`Components::text_encoder_2`].
    pub tokenizer_2: Component,
}

impl Components {
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Component> {
        [
            Some(&mut self.unet),
            Some(&mut self.unet_distilled),
            Some(&mut self.text_encoder),
            Some(&mut self.text_encoder_2),
            Some(&mut self.vae),
            self.tiny_decoder.as_mut(),
            Some(&mut self.tokenizer),
            Some(&mut self.tokenizer_2),
        ]
        .into_iter()
        .flatten()
    }

    /// Every component that the pair has, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Component)> {
        [
            ("unet", Some(&self.unet)),
            ("unet_distilled", Some(&self.unet_distilled)),
            ("text_encoder", Some(&self.text_encoder)),
            ("text_encoder_2", Some(&self.text_encoder_2)),
            ("vae", Some(&self.vae)),
            ("tiny_decoder", self.tiny_decoder.as_ref()),
            ("tokenizer", Some(&self.tokenizer)),
            ("tokenizer_2", Some(&self.tokenizer_2)),
        ]
        .into_iter()
        .filter_map(|(name, component)| Some((name, component?)))
    }
}

/// How the tensors of a file are stored, of all components that share it: their names with the component's
/// [`Component::prefix`] before them. Empty: as they are in the file.
pub(super) fn rules_of<'a>(
    components: impl Iterator<Item = &'a Component>,
    file: &ManifestFile,
) -> Vec<EncodingRule> {
    let source = file.source_id();
    let mut rules = Vec::new();
    for component in components {
        if component.files.iter().any(|it| it.source_id() == source) {
            for rule in &component.encodings {
                let rule = EncodingRule {
                    tensors: format!("{}{}", component.prefix, rule.tensors),
                    ..rule.clone()
                };
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    rules
}

/// Gives all files of components that lie together their [`ManifestFile::id`].
pub(super) fn set_ids(components: &mut [&mut Component]) {
    let ids: BTreeMap<String, String> = components
        .iter()
        .flat_map(|component| &component.files)
        .map(|file| {
            let source = file.source_id();
            let rules = rules_of(components.iter().map(|it| &**it), file);
            let id = if rules.is_empty() {
                source.clone()
            } else {
                // A list of plain fields: there is nothing that could fail to be written.
                let rules = serde_json::to_string(&rules).unwrap_or_default();
                sha256(format!("{RECORDS_VERSION}\n{source}\n{rules}").as_bytes())
            };
            (source, id)
        })
        .collect();
    for component in components {
        for file in &mut component.files {
            file.id = ids.get(&file.source_id()).cloned().unwrap_or_default();
        }
    }
}
