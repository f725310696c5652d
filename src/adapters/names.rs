//! How adapter files spell the layers that they change.
//!
//! Two spellings name a layer: with dots, as diffusers and PEFT do, with or without `unet.` before
//! it; and with underscores, as kohya's scripts do, with `lora_unet_` before it. Underscores stand
//! within names too (`to_q`, `time_emb_proj`), so that the second kind can't be read by itself: it is
//! looked up among the layers of the base. Those layers have two names, diffusers' and the one
//! in a single-file [`checkpoint`](crate::weights::format::checkpoint), which kohya's scripts write
//! where they train on one.
//!
//! What stands before a layer's name says which [model](super::model) it is a layer of. A text encoder's
//! layers have one name, transformers'.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Encoder, Model, Owner, WRAPPER, owner};
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
/// Follows a layer's name in that of the tensor which a branch changes.
pub(super) const WEIGHT: &str = ".weight";
/// What diffusers' old attention processors put between a block and its projections.
const PROCESSOR: &str = ".processor.";
/// What diffusers' old text encoders put before their projections: `self_attn.to_q` for `self_attn.q_proj`.
const OLD_PROJECTION: &str = "_self_attn_to_";
/// Before all layers of a text encoder, with the dot as an underscore. transformers 5 saves a model without
/// projection without it.
const TEXT_MODEL: &str = "text_model_";
/// In the names of a text encoder's layers, and in none of a UNet's.
const TEXT_LAYERS: &str = "encoder.layers.";
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
const ENDINGS: [(&str, Part); 25] = [
    (".lora_A.weight", Part::Down),
    (".lora_B.weight", Part::Up),
    (KOHYA_DOWN, Part::Down),
    (KOHYA_UP, Part::Up),
    (".lora_mid.weight", Part::Mid),
    (".lora.down.weight", Part::Down),
    (".lora.up.weight", Part::Up),
    (".lora_linear_layer.down.weight", Part::Down),
    (".lora_linear_layer.up.weight", Part::Up),
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

/// The layers of a base model by what adapters call them.
pub(super) struct Layers<'a> {
    /// From a name with underscores, diffusers' or a checkpoint's, to diffusers' name with dots. A text
    /// encoder's are without [`TEXT_MODEL`].
    underscored: BTreeMap<String, &'a str>,
    /// All of the base's tensors.
    tensors: BTreeSet<&'a str>,
    /// Whether the base is a text encoder, and no UNet.
    is_text_encoder: bool,
}

impl<'a> Layers<'a> {
    /// The layers of a base model with tensors of these names.
    pub fn new(tensors: impl Iterator<Item = &'a str>) -> Self {
        let tensors: BTreeSet<&str> = tensors.collect();
        let layers: BTreeSet<&str> = tensors
            .iter()
            .filter_map(|name| name.strip_suffix(WEIGHT))
            .collect();
        let is_text_encoder = layers.iter().any(|layer| layer.contains(TEXT_LAYERS));
        let checkpoint = NameTable::unet(&unet_blocks(&layers));
        let mut underscored = BTreeMap::new();
        for &layer in &layers {
            let name = layer.replace('.', "_");
            if is_text_encoder {
                let name = name.strip_prefix(TEXT_MODEL).unwrap_or(&name);
                underscored.insert(name.to_owned(), layer);
                continue;
            }
            underscored.insert(name, layer);
            let original = checkpoint.to_checkpoint(&format!("{layer}{WEIGHT}"));
            if let Some(original) = original.as_deref().and_then(|it| it.strip_suffix(WEIGHT)) {
                underscored.insert(original.replace('.', "_"), layer);
            }
        }
        Self {
            underscored,
            tensors,
            is_text_encoder,
        }
    }

    /// Whether a tensor of that name is for the base, and not for another model of the pair.
    pub fn are_of(&self, owner: Owner<'_>) -> bool {
        match owner {
            Owner::UNet => !self.is_text_encoder,
            Owner::TextEncoder(..) => self.is_text_encoder,
            Owner::Embedding => false,
        }
    }

    /// Which model the base is, where the adapter has tensors of these names for it. A text encoder's number
    /// stands in them alone.
    pub fn model<'n>(&self, mut names: impl Iterator<Item = &'n str>) -> Model {
        if !self.is_text_encoder {
            return Model::UNet;
        }
        let is_second =
            names.any(|name| matches!(owner(name), Owner::TextEncoder(Encoder::Second, _)));
        if is_second {
            Model::TextEncoder2
        } else {
            Model::TextEncoder
        }
    }

    /// The name in the model of a tensor that is none of a branch; none where the base hasn't such a tensor,
    /// and a UNet can't have it in addition.
    pub fn whole(&self, name: &str) -> Option<String> {
        let own = match owner(name) {
            Owner::TextEncoder(_, own) => own,
            _ => {
                let name = name.strip_prefix(WRAPPER).unwrap_or(name);
                name.strip_prefix(PREFIX).unwrap_or(name)
            }
        };
        let is_added = own == ADDED && !self.is_text_encoder;
        (self.tensors.contains(own) || is_added).then(|| own.to_owned())
    }

    /// The base's own name for the layer that a file calls `name`; none where the base has no such layer.
    pub fn resolve(&self, name: &str) -> Option<String> {
        match owner(name) {
            Owner::TextEncoder(_, layer) if self.is_text_encoder => self.text_layer(layer),
            Owner::UNet if !self.is_text_encoder => self.unet_layer(name),
            _ => None,
        }
    }

    fn find(&self, name: &str) -> Option<String> {
        let layer = self.underscored.get(&name.replace('.', "_"))?;
        Some((*layer).to_owned())
    }

    fn unet_layer(&self, name: &str) -> Option<String> {
        let name = name.strip_prefix(WRAPPER).unwrap_or(name);
        let mut underscored = UNDERSCORED_PREFIXES.iter();
        if let Some(layer) = underscored.find_map(|prefix| name.strip_prefix(prefix)) {
            // Some files keep the dots behind kohya's prefix.
            return self.find(layer);
        }
        let mut dotted = DOTTED_PREFIXES.iter();
        let name = dotted
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        match name.split_once(PROCESSOR) {
            // The projection of the output is the first of two modules in today's diffusers.
            Some((attention, "to_out")) => self.find(&format!("{attention}.to_out.0")),
            Some((attention, projection)) => self.find(&format!("{attention}.{projection}")),
            None => self.find(name),
        }
    }

    fn text_layer(&self, name: &str) -> Option<String> {
        let name = name.replace('.', "_");
        let name = name.strip_prefix(TEXT_MODEL).unwrap_or(&name);
        match name.rsplit_once(OLD_PROJECTION) {
            Some((layer, projection)) => self.find(&format!("{layer}_self_attn_{projection}_proj")),
            None => self.find(name),
        }
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
        let base = [
            "mid_block.attn1.to_q.weight",
            "mid_block.attn1.to_out.0.weight",
        ];
        let layers = Layers::new(base.into_iter());
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
