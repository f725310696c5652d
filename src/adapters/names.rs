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
/// What other programs put there, with underscores for the layers' dots behind it: LyCORIS' own.
const UNDERSCORED_PREFIXES: [&str; 3] = [UNDERSCORED_PREFIX, "lycoris_unet_", "lycoris_"];
/// Before layers whose names keep their dots, diffusers' or the original code's: those of PEFT's model, of
/// single-file checkpoints and of ComfyUI.
const DOTTED_PREFIXES: [&str; 4] = [
    "model.diffusion_model.",
    "diffusion_model.",
    "lora_unet.",
    PREFIX,
];
/// What PEFT puts before every name of a model that it was wrapped around.
const WRAPPER: &str = "base_model.model.";
/// Before the layers of text encoders, in all spellings.
const TEXT_ENCODER_PREFIXES: [&str; 8] = [
    "lora_te",
    "lycoris_te",
    "lycoris_text_",
    "text_encoder.",
    "text_encoder_2.",
    "text_model.",
    "clip_l.",
    "clip_g.",
];
/// Before the vectors of embeddings that some trainers put into the same file.
const EMBEDDING_PREFIXES: [&str; 2] = ["bundle_emb.", "emb_params."];
/// Follows a layer's name in that of the tensor which a branch changes.
pub(super) const WEIGHT: &str = ".weight";
/// What diffusers' old attention processors put between a block and its projections.
const PROCESSOR: &str = ".processor.";
/// Whole tensors that an adapter may add to a UNet: the projection of the embedded guidance.
const ADDED: &str = "time_embedding.cond_proj.weight";

/// A part of a layer's branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The down projection.
    Down,
    /// The up projection.
    Up,
    /// Between the two: a convolution of as many channels as the rank (LoCon's core).
    Mid,
    /// The numerator of the scale.
    Alpha,
    /// A factor of LoHa, by LyCORIS' name.
    Hada(Factor),
    /// A factor of LoKr, by LyCORIS' name.
    Kronecker(Factor),
}

/// A factor of one of the two matrices that LoHa multiplies value by value, and LoKr as a Kronecker
/// product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Factor {
    /// Whether it is one of the second matrix's.
    pub is_second: bool,
    /// Which of the matrix's factors it is.
    pub kind: FactorKind,
}

/// Which factor of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FactorKind {
    /// The matrix itself.
    Whole,
    /// The left one.
    A,
    /// The right one.
    B,
    /// The core of a convolution, between the two.
    Core,
}

const fn first(kind: FactorKind) -> Factor {
    Factor {
        is_second: false,
        kind,
    }
}

const fn second(kind: FactorKind) -> Factor {
    Factor {
        is_second: true,
        kind,
    }
}

/// Follows a layer's name in that of its down projection by kohya's scripts.
pub(super) const KOHYA_DOWN: &str = ".lora_down.weight";
/// Follows a layer's name in that of its up projection by kohya's scripts.
pub(super) const KOHYA_UP: &str = ".lora_up.weight";
/// Follows a layer's name in that of its alpha.
pub(super) const ALPHA: &str = ".alpha";

/// What follows a layer's name in those of its parts, the longer endings before those that they
/// end with.
const ENDINGS: [(&str, Part); 23] = [
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (KOHYA_DOWN, Part::Down),
    (KOHYA_UP, Part::Up),
    (".lora_mid.weight", Part::Mid),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    ("_lora.down.weight", Part::Down),
    ("_lora.up.weight", Part::Up),
    (ALPHA, Part::Alpha),
    (".hada_w1_a", Part::Hada(first(FactorKind::A))),
    (".hada_w1_b", Part::Hada(first(FactorKind::B))),
    (".hada_t1", Part::Hada(first(FactorKind::Core))),
    (".hada_w2_a", Part::Hada(second(FactorKind::A))),
    (".hada_w2_b", Part::Hada(second(FactorKind::B))),
    (".hada_t2", Part::Hada(second(FactorKind::Core))),
    (".lokr_w1", Part::Kronecker(first(FactorKind::Whole))),
    (".lokr_w1_a", Part::Kronecker(first(FactorKind::A))),
    (".lokr_w1_b", Part::Kronecker(first(FactorKind::B))),
    (".lokr_w2", Part::Kronecker(second(FactorKind::Whole))),
    (".lokr_w2_a", Part::Kronecker(second(FactorKind::A))),
    (".lokr_w2_b", Part::Kronecker(second(FactorKind::B))),
    (".lokr_t2", Part::Kronecker(second(FactorKind::Core))),
];

/// Between a layer and the end of a part's name where PEFT writes the adapter's own name, too:
/// `….lora_A.default.weight`.
const NAMED_PARTS: [(&str, Part); 2] = [(".lora_A.", Part::Down), (".lora_B.", Part::Up)];

/// What the names of other kinds of adapters have in them, and what those are called.
const OTHER_KINDS: [(&str, &str); 13] = [
    (".dora_scale", "a DoRA"),
    (".lora_magnitude_vector", "a DoRA"),
    (".oft_blocks", "an OFT adapter"),
    (".oft_diag", "an OFT adapter"),
    (".oft_R", "an OFT adapter"),
    (".on_input", "an (IA)³ adapter"),
    (".ia3_l", "an (IA)³ adapter"),
    (".vera_lambda", "a VeRA adapter"),
    (".a1.weight", "a GLoRA"),
    (".diff", "an adapter with whole differences (diff, diff_b)"),
    (".w_norm", "an adapter with trained norms"),
    (".lora_B.bias", "a LoRA with biases of its own"),
    (".lora_up.bias", "a LoRA with biases of its own"),
];

/// The layer that a file names, as it stands there, and which part of its branch the tensor is; none
/// for a tensor that is no such part.
pub(super) fn split(name: &str) -> Option<(&str, Part)> {
    let ending = ENDINGS
        .into_iter()
        .find_map(|(ending, part)| Some((name.strip_suffix(ending)?, part)));
    ending.or_else(|| {
        let name = name.strip_suffix(WEIGHT)?;
        NAMED_PARTS.into_iter().find_map(|(middle, part)| {
            let (layer, adapter) = name.rsplit_once(middle)?;
            (!adapter.is_empty() && !adapter.contains('.')).then_some((layer, part))
        })
    })
}

/// What kind of adapter has such a tensor that is not computed here; none of plain LoRA, LoCon, LoHa and
/// LoKr.
pub(super) fn other_kind(name: &str) -> Option<&'static str> {
    let kind = OTHER_KINDS.iter().find(|(part, _)| {
        let rest = name.split_once(part).map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
    });
    kind.map(|(_, kind)| *kind)
}

/// Whether a tensor is for a text encoder.
pub(super) fn is_of_text_encoder(name: &str) -> bool {
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    TEXT_ENCODER_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Whether a tensor is an embedding, which a prompt would name.
pub(super) fn is_embedding(name: &str) -> bool {
    EMBEDDING_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// A tensor's name in the UNet where it is none of a branch: what stands before it in files is left out.
pub(super) fn whole_name(name: &str) -> &str {
    let name = name.strip_prefix(WRAPPER).unwrap_or(name);
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// The layers of a base model by what adapters call them.
pub(super) struct Layers<'a> {
    /// From a name with underscores, diffusers' or a checkpoint's, to diffusers' name with dots.
    underscored: BTreeMap<String, &'a str>,
    /// All of the base's tensors.
    tensors: BTreeSet<&'a str>,
}

impl<'a> Layers<'a> {
    /// The layers of a base model with tensors of these names.
    pub fn new(tensors: impl Iterator<Item = &'a str>) -> Self {
        let tensors: BTreeSet<&str> = tensors.collect();
        let layers: BTreeSet<&str> = tensors
            .iter()
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
        Self {
            underscored,
            tensors,
        }
    }

    /// Whether a whole tensor of that name can be put in the model: the base has it, or a UNet can have it
    /// in addition.
    pub fn takes_whole(&self, name: &str) -> bool {
        self.tensors.contains(name) || name == ADDED
    }

    /// diffusers' name for the layer that a file calls `name`. A name with dots that the base doesn't have
    /// is taken as it is; a name with underscores has none where the base has no such layer.
    pub fn resolve(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix(WRAPPER).unwrap_or(name);
        // Some files keep the dots behind kohya's prefix.
        let find = |name: &str| {
            let layer = self.underscored.get(&name.replace('.', "_"))?;
            Some((*layer).to_owned())
        };
        let mut underscored = UNDERSCORED_PREFIXES.iter();
        if let Some(layer) = underscored.find_map(|prefix| name.strip_prefix(prefix)) {
            return find(layer);
        }
        let mut dotted = DOTTED_PREFIXES.iter();
        let name = dotted
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let name = match name.split_once(PROCESSOR) {
            // The projection of the output is the first of two modules in today's diffusers.
            Some((attention, "to_out")) => format!("{attention}.to_out.0"),
            Some((attention, projection)) => format!("{attention}.{projection}"),
            None => name.to_owned(),
        };
        Some(find(&name).unwrap_or(name))
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
