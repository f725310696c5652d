//! The names in single-file checkpoints ("sgm" names, as Stability AI's own code has them) beside
//! diffusers' and transformers': one table, which is read in both directions.
//!
//! A checkpoint holds the UNet below `model.diffusion_model.`, the VAE below `first_stage_model.`, and
//! the text encoders below `conditioner.embedders.0.transformer.` (in transformers' own names) and
//! `conditioner.embedders.1.model.` (in open_clip's).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Serialize;

use super::layout::Layout;

/// Pairs of a name's next part: the checkpoint's and diffusers'.
type Parts = &'static [(&'static str, &'static str)];

/// The rest of the name is the same in both.
const ALIKE: Parts = &[("", "")];

const UNET_RESNET: Parts = &[
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
    ("emb_layers.1.", "time_emb_proj."),
    ("skip_connection.", "conv_shortcut."),
];

const VAE_RESNET: Parts = &[
    ("norm1.", "norm1."),
    ("conv1.", "conv1."),
    ("norm2.", "norm2."),
    ("conv2.", "conv2."),
    ("nin_shortcut.", "conv_shortcut."),
];

const VAE_ATTENTION: Parts = &[
    ("norm.", "group_norm."),
    ("q.", "to_q."),
    ("k.", "to_k."),
    ("v.", "to_v."),
    ("proj_out.", "to_out.0."),
];

const OPEN_CLIP_LAYER: Parts = &[
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
    ("attn.out_proj.", "self_attn.out_proj."),
    // One tensor of three layers' rows, in this order.
    ("attn.in_proj_", "self_attn.q_proj."),
    ("attn.in_proj_", "self_attn.k_proj."),
    ("attn.in_proj_", "self_attn.v_proj."),
];

/// open_clip's projection multiplies from the left, and transformers' from the right.
const OPEN_CLIP_PROJECTION: &str = "text_projection";

/// Layers of SDXL's second text encoder.
const OPEN_CLIP_LAYERS: usize = 32;

/// Resolutions of SDXL's VAE.
const VAE_LEVELS: usize = 4;

/// Residual blocks of a resolution in the VAE's decoder, which has one more than its encoder.
const VAE_RESNETS: usize = 3;

/// What the names of some tensors begin with.
struct Rule {
    checkpoint: String,
    diffusers: String,
    /// The name goes on with one of these.
    parts: Parts,
}

/// The names of one model in both spellings.
pub struct NameTable(Vec<Rule>);

/// The size of a UNet's blocks, on which the numbers in its checkpoint names depend.
pub struct UnetBlocks {
    /// Residual blocks of a down block; an up block has one more.
    pub layers_per_block: usize,
    /// Whether each up block has transformers, from the smallest resolution.
    pub up_attention: Vec<bool>,
}

impl NameTable {
    fn add(&mut self, checkpoint: impl Into<String>, diffusers: impl Into<String>, parts: Parts) {
        self.0.push(Rule {
            checkpoint: checkpoint.into(),
            diffusers: diffusers.into(),
            parts,
        });
    }

    /// The names of a UNet.
    pub fn unet(blocks: &UnetBlocks) -> Self {
        let mut table = Self(Vec::new());
        for (checkpoint, diffusers, parts) in [
            ("input_blocks.0.0.", "conv_in.", ALIKE),
            ("time_embed.0.", "time_embedding.linear_1.", ALIKE),
            ("time_embed.2.", "time_embedding.linear_2.", ALIKE),
            ("label_emb.0.0.", "add_embedding.linear_1.", ALIKE),
            ("label_emb.0.2.", "add_embedding.linear_2.", ALIKE),
            ("out.0.", "conv_norm_out.", ALIKE),
            ("out.2.", "conv_out.", ALIKE),
            ("middle_block.0.", "mid_block.resnets.0.", UNET_RESNET),
            ("middle_block.1.", "mid_block.attentions.0.", ALIKE),
            ("middle_block.2.", "mid_block.resnets.1.", UNET_RESNET),
        ] {
            table.add(checkpoint, diffusers, parts);
        }
        // A checkpoint's numbers run on over all blocks, and a block's resampling counts as its last
        // layer on the way down.
        let stride = blocks.layers_per_block + 1;
        for (level, &attends) in blocks.up_attention.iter().enumerate() {
            let [down, up] = ["down", "up"].map(|way| format!("{way}_blocks.{level}"));
            for layer in 0..blocks.layers_per_block {
                let place = format!("input_blocks.{}", stride * level + layer + 1);
                table.layer(&place, &down, layer, true);
            }
            table.add(
                format!("input_blocks.{}.0.op.", stride * (level + 1)),
                format!("{down}.downsamplers.0.conv."),
                ALIKE,
            );
            for layer in 0..=blocks.layers_per_block {
                let place = format!("output_blocks.{}", stride * level + layer);
                table.layer(&place, &up, layer, attends);
            }
            // A block without transformers has its upsampler in their place.
            let last = stride * level + blocks.layers_per_block;
            table.add(
                format!("output_blocks.{last}.{}.conv.", 1 + usize::from(attends)),
                format!("{up}.upsamplers.0.conv."),
                ALIKE,
            );
        }
        table
    }

    /// A residual block of a UNet, and the transformer after it.
    fn layer(&mut self, place: &str, block: &str, layer: usize, attends: bool) {
        let resnet = format!("{block}.resnets.{layer}.");
        self.add(format!("{place}.0."), resnet, UNET_RESNET);
        if attends {
            let attention = format!("{block}.attentions.{layer}.");
            self.add(format!("{place}.1."), attention, ALIKE);
        }
    }

    fn vae() -> Self {
        let mut table = Self(Vec::new());
        for name in ["quant_conv.", "post_quant_conv."] {
            table.add(name, name, ALIKE);
        }
        for (side, way) in [("encoder", "down"), ("decoder", "up")] {
            for (checkpoint, diffusers, parts) in [
                ("conv_in.", "conv_in.", ALIKE),
                ("conv_out.", "conv_out.", ALIKE),
                ("norm_out.", "conv_norm_out.", ALIKE),
                ("mid.block_1.", "mid_block.resnets.0.", VAE_RESNET),
                ("mid.block_2.", "mid_block.resnets.1.", VAE_RESNET),
                ("mid.attn_1.", "mid_block.attentions.0.", VAE_ATTENTION),
            ] {
                let checkpoint = format!("{side}.{checkpoint}");
                table.add(checkpoint, format!("{side}.{diffusers}"), parts);
            }
            for level in 0..VAE_LEVELS {
                // Checkpoints count the decoder's levels from the largest resolution, too.
                let block = match way {
                    "up" => VAE_LEVELS - 1 - level,
                    _ => level,
                };
                let checkpoint = format!("{side}.{way}.{level}");
                let diffusers = format!("{side}.{way}_blocks.{block}");
                for resnet in 0..VAE_RESNETS {
                    table.add(
                        format!("{checkpoint}.block.{resnet}."),
                        format!("{diffusers}.resnets.{resnet}."),
                        VAE_RESNET,
                    );
                }
                table.add(
                    format!("{checkpoint}.{way}sample."),
                    format!("{diffusers}.{way}samplers.0."),
                    ALIKE,
                );
            }
        }
        table
    }

    fn alike() -> Self {
        let mut table = Self(Vec::new());
        table.add("", "", ALIKE);
        table
    }

    fn open_clip() -> Self {
        let mut table = Self(Vec::new());
        for (checkpoint, diffusers) in [
            (OPEN_CLIP_PROJECTION, "text_projection.weight"),
            ("token_embedding.", "text_model.embeddings.token_embedding."),
            (
                "positional_embedding",
                "text_model.embeddings.position_embedding.weight",
            ),
            ("ln_final.", "text_model.final_layer_norm."),
        ] {
            table.add(checkpoint, diffusers, ALIKE);
        }
        for layer in 0..OPEN_CLIP_LAYERS {
            table.add(
                format!("transformer.resblocks.{layer}."),
                format!("text_model.encoder.layers.{layer}."),
                OPEN_CLIP_LAYER,
            );
        }
        table
    }

    /// diffusers' names for a checkpoint's tensor: several where it keeps several layers' in one,
    /// row after row; none for a tensor that the model doesn't have.
    pub fn to_diffusers(&self, name: &str) -> Vec<String> {
        let rules = self.0.iter().filter_map(|rule| {
            let rest = name.strip_prefix(&rule.checkpoint)?;
            Some((rule, rest))
        });
        rules
            .flat_map(|(rule, rest)| {
                rule.parts.iter().filter_map(move |(from, to)| {
                    let rest = rest.strip_prefix(from)?;
                    Some(format!("{}{to}{rest}", rule.diffusers))
                })
            })
            .collect()
    }

    /// A checkpoint's name for diffusers' tensor; none where a checkpoint has no such tensor.
    pub fn to_checkpoint(&self, name: &str) -> Option<String> {
        self.0.iter().find_map(|rule| {
            let rest = name.strip_prefix(&rule.diffusers)?;
            rule.parts.iter().find_map(|(to, from)| {
                let rest = rest.strip_prefix(from)?;
                Some(format!("{}{to}{rest}", rule.checkpoint))
            })
        })
    }
}

/// How a tensor's values lie in a checkpoint, beside how they do in diffusers' files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Alike.
    Same,
    /// As those of a 1 × 1 convolution, where diffusers has a linear layer: the VAE's attention.
    Pointwise,
    /// With rows and columns exchanged: open_clip's projection.
    Transposed,
}

/// A component's place in a checkpoint.
pub struct CheckpointComponent {
    /// diffusers' name of the component, such as `unet`.
    pub name: &'static str,
    /// What the checkpoint puts before the names of the component's tensors.
    pub prefix: &'static str,
    table: NameTable,
}

/// The components of SDXL that a checkpoint holds.
pub static COMPONENTS: LazyLock<[CheckpointComponent; 4]> = LazyLock::new(|| {
    let component = |name, prefix, table| CheckpointComponent {
        name,
        prefix,
        table,
    };
    let unet = NameTable::unet(&UnetBlocks {
        layers_per_block: 2,
        up_attention: vec![true, true, false],
    });
    [
        component("unet", "model.diffusion_model.", unet),
        component("vae", "first_stage_model.", NameTable::vae()),
        component(
            "text_encoder",
            "conditioner.embedders.0.transformer.",
            NameTable::alike(),
        ),
        component(
            "text_encoder_2",
            "conditioner.embedders.1.model.",
            NameTable::open_clip(),
        ),
    ]
});

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckpointTensor {
    /// Its shape in the checkpoint.
    pub shape: Vec<usize>,
    /// diffusers' names of the tensors that it holds, one after the other.
    pub parts: Vec<String>,
    /// How its values lie.
    pub form: Form,
}

impl CheckpointComponent {
    /// diffusers' names for a tensor whose name follows [`Self::prefix`], see
    /// [`NameTable::to_diffusers`], and how its values lie.
    pub fn to_diffusers(&self, rest: &str) -> (Vec<String>, Form) {
        let form = match self.name {
            "vae" if rest.contains(".attn_1.") && !rest.contains(".norm.") => Form::Pointwise,
            "text_encoder_2" if rest == OPEN_CLIP_PROJECTION => Form::Transposed,
            _ => Form::Same,
        };
        (self.table.to_diffusers(rest), form)
    }

    /// The tensors that a checkpoint holds of a component with these, by their names in it.
    pub fn layout(&self, component: &Layout) -> BTreeMap<String, CheckpointTensor> {
        let mut tensors = BTreeMap::new();
        for (name, shape) in component.iter() {
            let Some(rest) = self.table.to_checkpoint(name) else {
                continue;
            };
            let (parts, form) = self.to_diffusers(&rest);
            let mut shape = shape.to_vec();
            match (form, shape.as_mut_slice()) {
                (Form::Pointwise, [_, _]) => shape.extend([1, 1]),
                (Form::Transposed, shape) => shape.reverse(),
                (_, [rows, ..]) => *rows *= parts.len(),
                _ => {}
            }
            let tensor = CheckpointTensor { shape, parts, form };
            tensors.insert(format!("{}{rest}", self.prefix), tensor);
        }
        tensors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_itself() {
        for component in COMPONENTS.iter() {
            for rule in &component.table.0 {
                for (checkpoint, diffusers) in rule.parts {
                    let name = format!("{}{diffusers}weight", rule.diffusers);
                    let there = component.table.to_checkpoint(&name);
                    let expected = format!("{}{checkpoint}weight", rule.checkpoint);
                    assert_eq!(there.as_ref(), Some(&expected), "{}", component.name);
                    let back = component.table.to_diffusers(&expected);
                    assert!(back.contains(&name), "{expected}: {back:?}");
                }
            }
        }
    }

    #[test]
    fn layers_of_a_joint_projection_are_rows_of_one_tensor() {
        let mut layout = Layout::default();
        for part in ["q", "k", "v"] {
            let name = format!("text_model.encoder.layers.3.self_attn.{part}_proj.weight");
            layout.insert(name, [64, 64]);
        }
        layout.insert("text_projection.weight", [96, 64]);
        let [.., open_clip] = &*COMPONENTS;
        let tensors = open_clip.layout(&layout);
        let prefix = "conditioner.embedders.1.model";
        let joint = &tensors[&format!("{prefix}.transformer.resblocks.3.attn.in_proj_weight")];
        assert_eq!(
            (joint.shape.as_slice(), joint.parts.len()),
            (&[192, 64][..], 3)
        );
        assert!(joint.parts[1].ends_with("k_proj.weight"));
        let projection = &tensors[&format!("{prefix}.text_projection")];
        assert_eq!(projection.shape, [64, 96]);
        assert_eq!(projection.form, Form::Transposed);
        assert_eq!(tensors.len(), 2);
    }
}
