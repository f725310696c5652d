//! Names of tensors: those of single-file checkpoints ("sgm" names, as Stability AI's own code has
//! them) become diffusers' names on the way into the store.
//!
//! A checkpoint holds the UNet below `model.diffusion_model.`, the VAE below `first_stage_model.`, and
//! the text encoders below `conditioner.embedders.0.transformer.` (in transformers' own names) and
//! `conditioner.embedders.1.model.` (in open_clip's). They are stored with `unet.`, `vae.`,
//! `text_encoder.` and `text_encoder_2.` before diffusers' names. open_clip keeps a layer's queries,
//! keys and values in one tensor, which becomes three of a third of its rows each.

/// How a file names its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As diffusers and transformers do, or any other: the names stay.
    Plain,
    /// A single-file checkpoint.
    Checkpoint,
}

/// A name in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredName {
    /// The name.
    pub name: String,
    /// How the values lie.
    pub form: Form,
}

/// How a tensor's values lie in the file, beside how they do in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Alike.
    Same,
    /// As those of a 1 × 1 convolution, and in the store as a linear layer's: the VAE's attention.
    Pointwise,
    /// With rows and columns exchanged: open_clip's projection.
    Transposed,
}

impl Naming {
    /// What a file with these tensors has.
    pub fn of<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        if names.any(|name| name.starts_with(UNET)) {
            Naming::Checkpoint
        } else {
            Naming::Plain
        }
    }

    /// What a tensor is stored as; more than one where the file keeps several in one, row after row;
    /// none where nothing here uses it.
    pub fn stored_names(self, name: &str) -> Vec<StoredName> {
        let stored = |name: String, form| StoredName { name, form };
        let one = |name: String| vec![stored(name, Form::Same)];
        match self {
            Naming::Plain => one(name.to_owned()),
            Naming::Checkpoint => {
                if let Some(rest) = name.strip_prefix(UNET) {
                    unet(rest).map_or_else(Vec::new, |name| one(format!("unet.{name}")))
                } else if let Some(rest) = name.strip_prefix(VAE) {
                    let form = if rest.contains(".attn_1.") && !rest.contains(".norm.") {
                        Form::Pointwise
                    } else {
                        Form::Same
                    };
                    vae(rest)
                        .map(|name| stored(format!("vae.{name}"), form))
                        .into_iter()
                        .collect()
                } else if let Some(rest) = name.strip_prefix(TEXT_ENCODER) {
                    one(format!("text_encoder.{rest}"))
                } else if let Some(rest) = name.strip_prefix(TEXT_ENCODER_2) {
                    let form = if rest == OPEN_CLIP_PROJECTION {
                        Form::Transposed
                    } else {
                        Form::Same
                    };
                    open_clip(rest)
                        .into_iter()
                        .map(|name| stored(format!("text_encoder_2.{name}"), form))
                        .collect()
                } else {
                    Vec::new()
                }
            }
        }
    }
}

const UNET: &str = "model.diffusion_model.";
const VAE: &str = "first_stage_model.";
const TEXT_ENCODER: &str = "conditioner.embedders.0.transformer.";
const TEXT_ENCODER_2: &str = "conditioner.embedders.1.model.";

/// Of open_clip; it multiplies from the left, and transformers' from the right.
const OPEN_CLIP_PROJECTION: &str = "text_projection";

/// Blocks of a level in SDXL's UNet: resnets on the way down; on the way up there is one more.
const RESNETS: usize = 2;

/// Splits off a leading number: `4.1.proj_in.weight` → (4, `1.proj_in.weight`).
fn number(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.split_once('.')?;
    Some((digits.parse().ok()?, rest))
}

/// A UNet's name in diffusers; none for what isn't one.
pub fn unet(name: &str) -> Option<String> {
    const WHOLE: [(&str, &str); 7] = [
        ("input_blocks.0.0.", "conv_in."),
        ("time_embed.0.", "time_embedding.linear_1."),
        ("time_embed.2.", "time_embedding.linear_2."),
        ("label_emb.0.0.", "add_embedding.linear_1."),
        ("label_emb.0.2.", "add_embedding.linear_2."),
        ("out.0.", "conv_norm_out."),
        ("out.2.", "conv_out."),
    ];
    for (from, to) in WHOLE {
        if let Some(rest) = name.strip_prefix(from) {
            return Some(format!("{to}{rest}"));
        }
    }
    let (down, up, middle) = (
        name.strip_prefix("input_blocks."),
        name.strip_prefix("output_blocks."),
        name.strip_prefix("middle_block."),
    );
    if let Some(rest) = middle {
        let (index, rest) = number(rest)?;
        return match index {
            0 | 2 => Some(format!("mid_block.resnets.{}.{}", index / 2, resnet(rest)?)),
            1 => Some(format!("mid_block.attentions.0.{rest}")),
            _ => None,
        };
    }
    if let Some(rest) = down {
        let (index, rest) = number(rest)?;
        let (part, rest) = number(rest)?;
        let (level, place) = (
            index.checked_sub(1)? / (RESNETS + 1),
            (index - 1) % (RESNETS + 1),
        );
        return if place == RESNETS {
            let rest = rest.strip_prefix("op.")?;
            Some(format!("down_blocks.{level}.downsamplers.0.conv.{rest}"))
        } else {
            layer("down_blocks", level, place, part, rest)
        };
    }
    let (index, rest) = number(up?)?;
    let (part, rest) = number(rest)?;
    let (level, place) = (index / (RESNETS + 1), index % (RESNETS + 1));
    // A block without attention has its upsampler in the attention's place.
    if let Some(rest) = rest.strip_prefix("conv.").filter(|_| part > 0) {
        return Some(format!("up_blocks.{level}.upsamplers.0.conv.{rest}"));
    }
    layer("up_blocks", level, place, part, rest)
}

fn layer(blocks: &str, level: usize, place: usize, part: usize, rest: &str) -> Option<String> {
    match part {
        0 => Some(format!(
            "{blocks}.{level}.resnets.{place}.{}",
            resnet(rest)?
        )),
        1 => Some(format!("{blocks}.{level}.attentions.{place}.{rest}")),
        _ => None,
    }
}

fn resnet(name: &str) -> Option<String> {
    const PARTS: [(&str, &str); 6] = [
        ("in_layers.0.", "norm1."),
        ("in_layers.2.", "conv1."),
        ("out_layers.0.", "norm2."),
        ("out_layers.3.", "conv2."),
        ("emb_layers.1.", "time_emb_proj."),
        ("skip_connection.", "conv_shortcut."),
    ];
    PARTS
        .into_iter()
        .find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// A VAE's name in diffusers; none for what isn't one, such as the weights of its training.
fn vae(name: &str) -> Option<String> {
    for (side, blocks, samplers) in [
        ("encoder.", "down", "downsample"),
        ("decoder.", "up", "upsample"),
    ] {
        let Some(rest) = name.strip_prefix(side) else {
            continue;
        };
        let name = if let Some(rest) = rest.strip_prefix("norm_out.") {
            format!("conv_norm_out.{rest}")
        } else if let Some(rest) = rest.strip_prefix("mid.") {
            let (part, rest) = rest.split_once('.')?;
            match part {
                "block_1" => format!("mid_block.resnets.0.{}", shortcut(rest)),
                "block_2" => format!("mid_block.resnets.1.{}", shortcut(rest)),
                "attn_1" => format!("mid_block.attentions.0.{}", vae_attention(rest)?),
                _ => return None,
            }
        } else if let Some(rest) = rest.strip_prefix(&format!("{blocks}.")) {
            let (level, rest) = number(rest)?;
            // Checkpoints count the decoder's levels from the last one.
            let level = if side == "decoder." {
                VAE_LEVELS.checked_sub(level + 1)?
            } else {
                level
            };
            if let Some(rest) = rest.strip_prefix("block.") {
                let (index, rest) = number(rest)?;
                format!("{blocks}_blocks.{level}.resnets.{index}.{}", shortcut(rest))
            } else {
                let rest = rest.strip_prefix(&format!("{samplers}."))?;
                format!("{blocks}_blocks.{level}.{samplers}rs.0.{rest}")
            }
        } else {
            rest.to_owned()
        };
        return Some(format!("{side}{name}"));
    }
    (name.starts_with("quant_conv.") || name.starts_with("post_quant_conv."))
        .then(|| name.to_owned())
}

const VAE_LEVELS: usize = 4;

fn shortcut(name: &str) -> String {
    match name.strip_prefix("nin_shortcut.") {
        Some(rest) => format!("conv_shortcut.{rest}"),
        None => name.to_owned(),
    }
}

fn vae_attention(name: &str) -> Option<String> {
    const PARTS: [(&str, &str); 5] = [
        ("norm.", "group_norm."),
        ("q.", "to_q."),
        ("k.", "to_k."),
        ("v.", "to_v."),
        ("proj_out.", "to_out.0."),
    ];
    PARTS
        .into_iter()
        .find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)))
}

/// The names of an open_clip text encoder's tensor in transformers: three where it is a layer's
/// queries, keys and values in one; none for what isn't used.
fn open_clip(name: &str) -> Vec<String> {
    const WHOLE: [(&str, &str); 4] = [
        (OPEN_CLIP_PROJECTION, "text_projection.weight"),
        ("token_embedding.", "text_model.embeddings.token_embedding."),
        ("ln_final.", "text_model.final_layer_norm."),
        (
            "positional_embedding",
            "text_model.embeddings.position_embedding.weight",
        ),
    ];
    const PARTS: [(&str, &str); 5] = [
        ("ln_1.", "layer_norm1."),
        ("ln_2.", "layer_norm2."),
        ("mlp.c_fc.", "mlp.fc1."),
        ("mlp.c_proj.", "mlp.fc2."),
        ("attn.out_proj.", "self_attn.out_proj."),
    ];
    for (from, to) in WHOLE {
        if let Some(rest) = name.strip_prefix(from) {
            return vec![format!("{to}{rest}")];
        }
    }
    let Some((index, rest)) = name.strip_prefix("transformer.resblocks.").and_then(number) else {
        return Vec::new();
    };
    let layer = format!("text_model.encoder.layers.{index}");
    if let Some(kind) = rest.strip_prefix("attn.in_proj_") {
        return ["q", "k", "v"]
            .map(|part| format!("{layer}.self_attn.{part}_proj.{kind}"))
            .into();
    }
    PARTS
        .into_iter()
        .find_map(|(from, to)| Some(format!("{layer}.{to}{}", rest.strip_prefix(from)?)))
        .into_iter()
        .collect()
}
