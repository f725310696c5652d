//! The models and tokenizers of a pair.

use serde::{Deserialize, Serialize};

use super::file::ManifestFile;
use crate::weights::format::rules::EncodingRule;

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
