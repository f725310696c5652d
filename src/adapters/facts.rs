//! What the header of an adapter's file tells of it, before any of its values are read or stored.

use std::collections::{BTreeMap, BTreeSet};

use super::error::AdapterError;
use super::metadata::write_alphas;
use super::model::Model;
use super::names::{self, FactorKind, Part};
use super::parts::{check_names, model_of};
use crate::weights::format::encoding::Encoding;
use crate::weights::format::kind::{
    FLUX, REFINER, STABLE_DIFFUSION_1, STABLE_DIFFUSION_2, STABLE_DIFFUSION_3, TRANSFORMER,
    of_context,
};
use crate::weights::format::safetensors::TensorEntry;
use crate::weights::format::tensor::StoredTensor;

/// Width of the text's context in SDXL.
const SDXL_CONTEXT: usize = 2048;
/// The most characters of a text that are taken from a file.
const LONGEST_TEXT: usize = 120;
/// The most trigger words that are taken from a file.
const MOST_WORDS: usize = 20;
/// Where trainers write what a prompt needs for the adapter to act, the words with commas between them.
const TRIGGERS: [&str; 4] = [
    "modelspec.trigger_phrase",
    "ss_trigger_words",
    "trigger_words",
    "trigger_word",
];
/// Where trainers write the kind of model that they trained on.
const BASES: [&str; 2] = ["ss_base_model_version", "modelspec.architecture"];
/// What kohya's scripts write as a title where they were given none, followed by the time.
const NO_TITLE: &str = "LoRA@";
/// In the names of Flux's layers, and of no other model's.
const FLUX_LAYERS: [&str; 3] = [
    "double_blocks",
    "single_blocks",
    "single_transformer_blocks",
];
/// In the names of Stable Diffusion 3's layers in its own code.
const STABLE_DIFFUSION_3_LAYERS: &str = "joint_blocks";
/// In the names of a UNet's layers: in none of a diffusion transformer's.
const UNET_LAYERS: [&str; 6] = [
    "down_blocks",
    "mid_block",
    "up_blocks",
    "input_blocks",
    "middle_block",
    "output_blocks",
];
/// The name of diffusion transformers' layers in diffusers.
const TRANSFORMER_LAYERS: &str = "transformer_blocks";

/// What a header tells of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct TensorFacts<'a> {
    /// Its name in the file.
    pub name: &'a str,
    /// Its dimensions.
    pub shape: &'a [usize],
    /// How its values are stored once they have been read.
    pub dtype: Encoding,
    /// Its bytes in the file.
    pub bytes: u64,
}

impl<'a> From<&'a TensorEntry> for TensorFacts<'a> {
    fn from(entry: &'a TensorEntry) -> Self {
        Self {
            name: &entry.name,
            shape: &entry.shape,
            dtype: entry.encoding,
            bytes: entry.range.end.saturating_sub(entry.range.start),
        }
    }
}

impl<'a> From<&'a StoredTensor> for TensorFacts<'a> {
    fn from(tensor: &'a StoredTensor) -> Self {
        Self {
            name: &tensor.name,
            shape: &tensor.shape,
            dtype: tensor.encoding,
            bytes: tensor.bytes.len() as u64,
        }
    }
}

/// How an adapter writes the changes of its layers. Where a file has several kinds, it is the last of them
/// here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdapterKind {
    /// Two narrow matrices.
    LoRA,
    /// The same for kernels of convolutions.
    LoCon,
    /// The product of two such changes, value by value.
    LoHa,
    /// The Kronecker product of two matrices.
    LoKr,
}

impl std::fmt::Display for AdapterKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            AdapterKind::LoRA => "LoRA",
            AdapterKind::LoCon => "LoCon",
            AdapterKind::LoHa => "LoHa",
            AdapterKind::LoKr => "LoKr",
        })
    }
}

/// The kind of model that an adapter was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseKind {
    /// SDXL, or a model with its layers.
    Sdxl,
    /// Another one, as the end of “it was made for …”.
    Other(&'static str),
    /// Neither the layers nor the header tell.
    Unknown,
}

/// What an adapter's header tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// How its changes are written.
    pub kind: AdapterKind,
    /// How many layers it changes of each model that it has any for.
    pub layers: BTreeMap<Model, usize>,
    /// Its embeddings' tensors, which are no layers: a prompt would name them.
    pub embeddings: usize,
    /// The smallest and the largest rank of its layers; none where all of them are whole matrices, as LoKr may
    /// have them.
    pub ranks: Option<(usize, usize)>,
    /// How many of its layers have an alpha of their own.
    pub alphas: usize,
    /// How the values of its factors are stored, in the order of the file.
    pub dtypes: Vec<Encoding>,
    /// Bytes of all its tensors.
    pub bytes: u64,
    /// The kind of model that it was trained on.
    pub base: BaseKind,
    /// What its maker calls it.
    pub title: Option<String>,
    /// What a prompt has to say for it to act, as its maker wrote it.
    pub trigger_words: Vec<String>,
    /// The name of the model that it was trained on, as its maker had it.
    pub trained_on: Option<String>,
}

impl Facts {
    /// What a header with these tensors and this `__metadata__` tells.
    ///
    /// # Errors
    /// The file is refused whatever the base: it has no layer's branch, or is of a kind that isn't computed
    /// here, by its names or by the configuration in its header; its text encoders are not SDXL's, or named as
    /// open_clip names them.
    pub fn of<'a>(
        tensors: impl Iterator<Item = TensorFacts<'a>>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, AdapterError> {
        let tensors: Vec<TensorFacts<'_>> = tensors.collect();
        check_names(tensors.iter().map(|tensor| tensor.name))?;
        // Without tensors, it is the configuration alone that is checked.
        write_alphas(&mut Vec::new(), metadata)?;
        let mut layers: BTreeMap<&str, Layer> = BTreeMap::new();
        let mut dtypes = Vec::new();
        let (mut bytes, mut embeddings) = (0u64, 0);
        for tensor in &tensors {
            bytes = bytes.saturating_add(tensor.bytes);
            if model_of(tensor.name).is_none() {
                embeddings += 1;
            } else if let Some((layer, part)) = names::split(tensor.name) {
                layers.entry(layer).or_default().add(part, tensor.shape);
                if part != Part::Alpha && !dtypes.contains(&tensor.dtype) {
                    dtypes.push(tensor.dtype);
                }
            }
        }
        let mut counts = BTreeMap::new();
        for model in layers.keys().filter_map(|layer| model_of(layer)) {
            *counts.entry(model).or_default() += 1;
        }
        let ranks = || layers.values().filter_map(|layer| layer.rank);
        let kind = layers.values().map(|layer| layer.kind).max();
        Ok(Facts {
            kind: kind.unwrap_or(AdapterKind::LoRA),
            layers: counts,
            embeddings,
            ranks: ranks().min().zip(ranks().max()),
            alphas: layers.values().filter(|layer| layer.has_alpha).count(),
            dtypes,
            bytes,
            base: base(&layers, metadata),
            title: title(metadata),
            trigger_words: trigger_words(metadata),
            trained_on: trained_on(metadata),
        })
    }

    /// Refuses an adapter that was made for another model than SDXL. One of which nothing is told passes:
    /// the layers of its base decide.
    ///
    /// # Errors
    /// [`AdapterError::OtherBase`].
    pub fn check_base(&self) -> Result<(), AdapterError> {
        match self.base {
            BaseKind::Other(kind) => Err(AdapterError::OtherBase { kind }),
            BaseKind::Sdxl | BaseKind::Unknown => Ok(()),
        }
    }
}

/// What the tensors of a layer tell.
#[derive(Debug)]
struct Layer {
    kind: AdapterKind,
    rank: Option<usize>,
    has_alpha: bool,
    /// The layer's input; of LoKr, the product of what was found of its two matrices.
    input: Option<usize>,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            kind: AdapterKind::LoRA,
            rank: None,
            has_alpha: false,
            input: None,
        }
    }
}

impl Layer {
    fn add(&mut self, part: Part, shape: &[usize]) {
        let (rows, columns) = (shape.first().copied(), shape.get(1).copied());
        let is_kernel = shape.iter().skip(2).any(|&size| size > 1);
        let kind = match part {
            Part::Hada(_) => AdapterKind::LoHa,
            Part::Kronecker(_) => AdapterKind::LoKr,
            Part::Mid => AdapterKind::LoCon,
            Part::Down if is_kernel => AdapterKind::LoCon,
            Part::Down | Part::Up | Part::Alpha => AdapterKind::LoRA,
        };
        self.kind = self.kind.max(kind);
        match part {
            Part::Alpha => self.has_alpha = true,
            Part::Down => (self.rank, self.input) = (rows, columns),
            Part::Hada(factor) if factor.kind == FactorKind::B => {
                (self.rank, self.input) = (rows, columns);
            }
            Part::Kronecker(factor) => {
                if factor.kind == FactorKind::B {
                    self.rank = rows;
                }
                if matches!(factor.kind, FactorKind::B | FactorKind::Whole) {
                    let before = self.input.unwrap_or(1);
                    self.input = columns.map(|columns| before.saturating_mul(columns));
                }
            }
            _ => {}
        }
    }
}

/// The kind of model that these layers are of: by their names, then by the width of the text's context, which
/// no header can get wrong, and then by what the header says.
fn base(layers: &BTreeMap<&str, Layer>, metadata: &BTreeMap<String, String>) -> BaseKind {
    let have = |part: &str| layers.keys().any(|layer| layer.contains(part));
    if FLUX_LAYERS.into_iter().any(have) {
        return BaseKind::Other(FLUX);
    }
    if have(STABLE_DIFFUSION_3_LAYERS) {
        return BaseKind::Other(STABLE_DIFFUSION_3);
    }
    let is_of_unet = |layer: &str| UNET_LAYERS.iter().any(|part| layer.contains(part));
    let told = told_base(metadata);
    if layers
        .keys()
        .any(|layer| layer.contains(TRANSFORMER_LAYERS) && !is_of_unet(layer))
    {
        return match told {
            BaseKind::Other(kind) => BaseKind::Other(kind),
            BaseKind::Sdxl | BaseKind::Unknown => BaseKind::Other(TRANSFORMER),
        };
    }
    let context = layers.iter().find_map(|(name, layer)| {
        let is_context = ["attn2_to_k", "attn2.to_k", "attn2_to_v", "attn2.to_v"]
            .iter()
            .any(|end| name.ends_with(end));
        let is_context = is_context || name.contains("attn2.processor.to_k");
        layer.input.filter(|_| is_context && is_of_unet(name))
    });
    match context {
        Some(SDXL_CONTEXT) => BaseKind::Sdxl,
        Some(width) => of_context(width).map_or(told, BaseKind::Other),
        None => told,
    }
}

/// The kind of model that a header says.
fn told_base(metadata: &BTreeMap<String, String>) -> BaseKind {
    let told = BASES.iter().find_map(|key| {
        let text = metadata.get(*key)?.to_ascii_lowercase();
        let has = |part: &str| text.contains(part);
        let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
        if has("refiner") {
            Some(BaseKind::Other(REFINER))
        } else if has("sdxl") || has("stable-diffusion-xl") {
            Some(BaseKind::Sdxl)
        } else if has("flux") {
            Some(BaseKind::Other(FLUX))
        } else if begins(&["sd3", "stable-diffusion-3"]) {
            Some(BaseKind::Other(STABLE_DIFFUSION_3))
        } else if begins(&["sd_v2", "sd_2", "sd2", "stable-diffusion-v2"]) {
            Some(BaseKind::Other(STABLE_DIFFUSION_2))
        } else if begins(&["sd_v1", "sd_1", "sd1", "stable-diffusion-v1"]) {
            Some(BaseKind::Other(STABLE_DIFFUSION_1))
        } else {
            None
        }
    });
    told.unwrap_or(BaseKind::Unknown)
}

/// A text of a file as a line that can be shown: not too long, and without what isn't written.
fn line(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    let line: String = line.trim().chars().take(LONGEST_TEXT).collect();
    (!line.is_empty() && line != "None").then_some(line)
}

fn title(metadata: &BTreeMap<String, String>) -> Option<String> {
    let title = metadata.get("modelspec.title");
    let title = title.filter(|title| !title.starts_with(NO_TITLE));
    let title = title.and_then(|title| line(title));
    title.or_else(|| line(metadata.get("ss_output_name")?))
}

fn trigger_words(metadata: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = BTreeSet::new();
    let texts = TRIGGERS.iter().filter_map(|key| metadata.get(*key));
    texts
        .flat_map(|text| text.split(','))
        .filter_map(line)
        .filter(|word| found.insert(word.clone()))
        .take(MOST_WORDS)
        .collect()
}

/// The file's name alone: before it stands where its maker kept it.
fn trained_on(metadata: &BTreeMap<String, String>) -> Option<String> {
    let path = metadata.get("ss_sd_model_name")?;
    line(path.rsplit(['/', '\\']).next()?)
}
