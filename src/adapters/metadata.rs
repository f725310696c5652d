//! What a file's header, or PEFT's configuration beside it, says of an adapter.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::error::AdapterError;
use super::model::Model;
use super::names::{self, ALPHA, FactorKind, PREFIX, Part};
use super::parts::model_of;
use crate::weights::format::encoding::Encoding;
use crate::weights::format::tensor::StoredTensor;

/// Under which diffusers writes PEFT's configuration into a file's header.
const METADATA_KEY: &str = "lora_adapter_metadata";
/// What diffusers' pipelines put before the names of their text encoders' layers.
const TEXT_ENCODER_PREFIX: &str = "text_encoder.";
const TEXT_ENCODER_2_PREFIX: &str = "text_encoder_2.";
/// PEFT's name for the file with its configuration.
const CONFIG_FILE: &str = "adapter_config.json";

/// Adds a tensor `….alpha` for each layer that has none, where the file's header alone says the alpha,
/// as diffusers' `save_lora_adapter` writes it: a pack keeps the tensors and not that header.
///
/// # Errors
/// The header is malformed, or asks for something that is not computed here.
pub fn write_alphas(
    tensors: &mut Vec<StoredTensor>,
    metadata: &BTreeMap<String, String>,
) -> Result<(), AdapterError> {
    let Some(json) = metadata.get(METADATA_KEY) else {
        return Ok(());
    };
    let config: Value = serde_json::from_str(json).map_err(|error| AdapterError::Metadata {
        reason: format!("{METADATA_KEY} is malformed: {error}"),
    })?;
    write_configured_alphas(tensors, &config)
}

/// As [`write_alphas`], by PEFT's configuration itself: what `adapter_config.json` holds.
///
/// PEFT scales a layer by `alpha / rank`, or with `use_rslora` by `alpha / √rank`; `alpha_pattern` gives
/// layers alphas of their own, by the end of their names. Pipelines write one configuration for each model,
/// with the prefix of its tensors before each option; options without one are for all models.
///
/// # Errors
/// The configuration asks for something that is not computed here.
pub fn write_configured_alphas(
    tensors: &mut Vec<StoredTensor>,
    config: &Value,
) -> Result<(), AdapterError> {
    let options = |prefix| Options::read(config, prefix);
    let (unet, first, second) = (
        options(PREFIX)?,
        options(TEXT_ENCODER_PREFIX)?,
        options(TEXT_ENCODER_2_PREFIX)?,
    );
    let mut ranks: BTreeMap<String, Option<usize>> = BTreeMap::new();
    let mut has_alpha = BTreeSet::new();
    for tensor in tensors.iter() {
        let Some((layer, part)) = names::split(&tensor.name) else {
            continue;
        };
        let rank = ranks.entry(layer.to_owned()).or_default();
        match part {
            Part::Alpha => drop(has_alpha.insert(layer.to_owned())),
            Part::Down => *rank = tensor.shape.first().copied(),
            Part::Hada(factor) | Part::Kronecker(factor) if factor.kind == FactorKind::B => {
                *rank = tensor.shape.first().copied();
            }
            _ => {}
        }
    }
    for (layer, rank) in ranks {
        if has_alpha.contains(&layer) {
            continue;
        }
        let options = match model_of(&layer) {
            Some(Model::UNet) => &unet,
            Some(Model::TextEncoder) => &first,
            Some(Model::TextEncoder2) => &second,
            None => continue,
        };
        if let Some(alpha) = options.alpha(&layer, rank)? {
            let name = layer + ALPHA;
            let alpha = StoredTensor::encode(&name, &[], &[alpha as f32], Encoding::F32, 0.0)?;
            tensors.push(alpha);
        }
    }
    Ok(())
}

fn failed(reason: String) -> AdapterError {
    AdapterError::Metadata { reason }
}

fn number(name: &str, value: &Value) -> Result<f64, AdapterError> {
    let number = value.as_f64().filter(|number| number.is_finite());
    number.ok_or_else(|| failed(format!("its {name} is {value}")))
}

/// What PEFT's configuration says of one model's alphas.
struct Options {
    /// Before the names of the model's tensors.
    prefix: &'static str,
    alpha: Option<f64>,
    /// Whether the scale has the root of the rank.
    by_root: bool,
    /// Alphas of single layers, by patterns of their names.
    patterns: Vec<(String, f64)>,
}

impl Options {
    fn read(config: &Value, prefix: &'static str) -> Result<Self, AdapterError> {
        let option = |name: &str| match config.get(name) {
            None | Some(Value::Null) => config.get(format!("{prefix}{name}")),
            value => value,
        };
        for name in ["use_dora", "fan_in_fan_out", "lora_bias"] {
            if let Some(value) = option(name).filter(|value| is_set(value)) {
                return Err(match name {
                    "use_dora" => AdapterError::Kind {
                        kind: "a DoRA",
                        name: CONFIG_FILE.into(),
                        count: 1,
                    },
                    _ => failed(format!("it sets {name} = {value}")),
                });
            }
        }
        let alpha = ["lora_alpha", "alpha"]
            .into_iter()
            .find_map(|name| Some((name, option(name).filter(|value| !value.is_null())?)))
            .map(|(name, value)| number(name, value))
            .transpose()?;
        let patterns = match option("alpha_pattern") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(patterns)) => patterns
                .iter()
                .map(|(pattern, value)| {
                    if pattern.chars().any(|it| "\\*+?()[]{}|$".contains(it)) {
                        return Err(failed(format!(
                            "its alpha_pattern {pattern} is a regular expression"
                        )));
                    }
                    Ok((pattern.clone(), number("alpha_pattern", value)?))
                })
                .collect::<Result<_, _>>()?,
            Some(value) => return Err(failed(format!("its alpha_pattern is {value}"))),
        };
        Ok(Self {
            prefix,
            alpha,
            by_root: option("use_rslora").is_some_and(is_set),
            patterns,
        })
    }

    /// The numerator of `alpha / rank` for a layer; none where nothing is said of it.
    fn alpha(&self, layer: &str, rank: Option<usize>) -> Result<Option<f64>, AdapterError> {
        let mut patterns = self.patterns.iter();
        let own = patterns.find(|(pattern, _)| self.is_named(layer, pattern));
        let own = own.map(|(_, alpha)| *alpha).or(self.alpha);
        match (own, rank, self.by_root) {
            (own, _, false) => Ok(own),
            // `alpha / √rank` is `(alpha · √rank) / rank`.
            (Some(alpha), Some(rank), true) => Ok(Some(alpha * (rank as f64).sqrt())),
            (None, _, true) | (_, None, true) => Err(failed(
                "it sets use_rslora without an alpha or a rank".into(),
            )),
        }
    }

    /// Whether PEFT takes a layer for the one that a pattern names: by the whole name, or by its end after a
    /// dot. A caret stands for the name's beginning.
    fn is_named(&self, layer: &str, pattern: &str) -> bool {
        if let Some(whole) = pattern.strip_prefix('^') {
            return layer == whole || layer.strip_prefix(self.prefix) == Some(whole);
        }
        layer
            .strip_suffix(pattern)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

/// Whether an option is anything but off.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(patterns) => !patterns.is_empty(),
        _ => true,
    }
}
