//! How adapter files spell the layers that they change.
//!
//! Two spellings name a layer: with dots, as diffusers and PEFT do, with or without `unet.` before
//! it; and with underscores, as kohya's scripts do, with `lora_unet_` before it. Underscores stand
//! within names too (`to_q`, `time_emb_proj`), so that the second kind can't be read by itself: it is
//! looked up among the layers of the base. Those layers have two names, diffusers' and the one
//! in a single-file [`checkpoint`](crate::weights::format::checkpoint), which kohya's scripts write
//! where they train on one.

use std::collections::{BTreeMap, BTreeSet};

use crate::weights::format::checkpoint::{NameTable, UnetBlocks};

/// What diffusers' pipelines put before the names of a UNet's layers.
pub(super) const PREFIX: &str = "unet.";
/// What kohya's scripts put before the names of a UNet's layers.
pub(super) const UNDERSCORED_PREFIX: &str = "lora_unet_";
/// Before the layers of text encoders, in all spellings.
const TEXT_ENCODER_PREFIXES: [&str; 3] = ["lora_te", "text_encoder.", "text_encoder_2."];
/// Follows a layer's name in that of the tensor which a branch changes.
pub(super) const WEIGHT: &str = ".weight";
/// What diffusers' old attention processors put between a block and its projections.
const PROCESSOR: &str = ".processor.";

/// A part of a layer's branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The down projection.
    Down,
    /// The up projection.
    Up,
    /// The numerator of the scale.
    Alpha,
}

/// Follows a layer's name in that of its down projection by kohya's scripts.
pub(super) const KOHYA_DOWN: &str = ".lora_down.weight";
/// Follows a layer's name in that of its up projection by kohya's scripts.
pub(super) const KOHYA_UP: &str = ".lora_up.weight";

/// What follows a layer's name in those of its parts, the longer endings before those that they
/// end with.
const ENDINGS: [(&str, Part); 10] = [
    (".lora_A.default.weight", Part::Down),
    (".lora_B.default.weight", Part::Up),
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (KOHYA_DOWN, Part::Down),
    (KOHYA_UP, Part::Up),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
];
/// Follows a layer's name in that of its alpha.
pub(super) const ALPHA: &str = ".alpha";

/// The layer that a file names, as it stands there, and which part of its branch the tensor is; none
/// for a tensor that is no such part.
pub(super) fn split(name: &str) -> Option<(&str, Part)> {
    let ending = ENDINGS
        .into_iter()
        .find_map(|(ending, part)| Some((name.strip_suffix(ending)?, part)));
    ending.or_else(|| Some((name.strip_suffix(ALPHA)?, Part::Alpha)))
}

/// Whether a tensor is for a text encoder.
pub(super) fn is_of_text_encoder(name: &str) -> bool {
    TEXT_ENCODER_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The layers of a base model by what adapters call them.
pub(super) struct Layers<'a> {
    /// From a name with underscores, diffusers' or a checkpoint's, to diffusers' name with dots.
    underscored: BTreeMap<String, &'a str>,
}

impl<'a> Layers<'a> {
    /// The layers of a base model with tensors of these names.
    pub fn new(tensors: impl Iterator<Item = &'a str>) -> Self {
        let layers: BTreeSet<&str> = tensors
            .filter_map(|name| name.strip_suffix(WEIGHT))
            .collect();
        let checkpoint = NameTable::unet(&unet_blocks(&layers));
        let mut underscored = BTreeMap::new();
        for &layer in &layers {
            underscored.insert(layer.replace('.', "_"), layer);
            let original = checkpoint.to_checkpoint(&format!("{layer}{WEIGHT}"));
            if let Some(original) = original.as_deref().and_then(|it| it.strip_suffix(WEIGHT)) {
                underscored.insert(original.replace('.', "_"), layer);
            }
        }
        Self { underscored }
    }

    /// diffusers' name for the layer that a file calls `name`. A name with dots is taken as it is; a
    /// name with underscores has none where the base has no such layer.
    pub fn resolve(&self, name: &str) -> Option<String> {
        if let Some(underscored) = name.strip_prefix(UNDERSCORED_PREFIX) {
            // Some files keep the dots behind kohya's prefix.
            let layer = self.underscored.get(&underscored.replace('.', "_"))?;
            return Some((*layer).to_owned());
        }
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        Some(match name.split_once(PROCESSOR) {
            // The projection of the output is the first of two modules in today's diffusers.
            Some((attention, "to_out")) => format!("{attention}.to_out.0"),
            Some((attention, projection)) => format!("{attention}.{projection}"),
            None => name.to_owned(),
        })
    }
}

/// How large the blocks of a UNet with these layers are.
fn unet_blocks(layers: &BTreeSet<&str>) -> UnetBlocks {
    let has = |layer: String| layers.contains(layer.as_str());
    let layers_per_block = (0..)
        .take_while(|index| has(format!("down_blocks.0.resnets.{index}.conv1")))
        .count();
    let levels = layers
        .iter()
        .filter_map(|layer| {
            let (level, _) = layer.strip_prefix("up_blocks.")?.split_once('.')?;
            Some(level.parse::<usize>().ok()? + 1)
        })
        .max()
        .unwrap_or(0);
    UnetBlocks {
        layers_per_block,
        up_attention: (0..levels)
            .map(|level| has(format!("up_blocks.{level}.attentions.0.proj_in")))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENSORS: [&str; 9] = [
        "conv_in.weight",
        "down_blocks.0.resnets.0.conv1.weight",
        "down_blocks.0.resnets.1.conv1.weight",
        "down_blocks.0.downsamplers.0.conv.weight",
        "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0.weight",
        "mid_block.resnets.1.time_emb_proj.weight",
        "up_blocks.0.attentions.0.proj_in.weight",
        "up_blocks.0.upsamplers.0.conv.weight",
        "up_blocks.2.resnets.2.conv_shortcut.weight",
    ];

    #[test]
    fn a_layer_has_the_names_of_diffusers_and_of_the_original_code() {
        let layers = Layers::new(TENSORS.into_iter());
        let originals = [
            ("input_blocks_0_0", "conv_in"),
            (
                "input_blocks_2_0_in_layers_2",
                "down_blocks.0.resnets.1.conv1",
            ),
            ("input_blocks_3_0_op", "down_blocks.0.downsamplers.0.conv"),
            (
                "input_blocks_4_1_transformer_blocks_0_attn1_to_out_0",
                "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_out.0",
            ),
            (
                "middle_block_2_emb_layers_1",
                "mid_block.resnets.1.time_emb_proj",
            ),
            ("output_blocks_2_2_conv", "up_blocks.0.upsamplers.0.conv"),
            (
                "output_blocks_8_0_skip_connection",
                "up_blocks.2.resnets.2.conv_shortcut",
            ),
        ];
        for (original, layer) in originals {
            let underscored = layer.replace('.', "_");
            for name in [original, &underscored] {
                let found = layers.resolve(&format!("lora_unet_{name}"));
                assert_eq!(found.as_deref(), Some(layer));
            }
        }
        assert_eq!(layers.resolve("lora_unet_input_blocks_9_0_op"), None);
    }

    #[test]
    fn the_processors_of_old_name_todays_projections() {
        let layers = Layers::new(std::iter::empty());
        for (name, layer) in [
            (
                "unet.mid_block.attn1.processor.to_q",
                "mid_block.attn1.to_q",
            ),
            (
                "mid_block.attn1.processor.to_out",
                "mid_block.attn1.to_out.0",
            ),
        ] {
            assert_eq!(layers.resolve(name).as_deref(), Some(layer));
        }
    }
}
