//! What a model's file or config is, before anything else of it is fetched: by the names and shapes in a
//! safetensors file's header, by diffusers' classes, and by a UNet's config.

use std::collections::BTreeSet;

use serde_json::Value;

use super::names::Naming;
use super::safetensors::Header;

/// What stands before the UNet's names in a single-file checkpoint.
const CHECKPOINT_UNET: &str = "model.diffusion_model.";
/// What parts of an adapter's tensors' names are.
const ADAPTER_PARTS: [&str; 10] = [
    ".lora_A.",
    ".lora_B.",
    ".lora_down.",
    ".lora_up.",
    ".lora.down.",
    "_lora.down.",
    ".lora_linear_layer.",
    ".hada_w",
    ".lokr_w",
    ".oft_",
];
/// Columns of the first layer that embeds sizes and pooled texts, in the refiner.
const REFINER_LABEL: usize = 2560;
/// Widths of the text's context in models that are not SDXL.
const CONTEXTS: [(usize, &str); 3] = [
    (768, STABLE_DIFFUSION_1),
    (1024, STABLE_DIFFUSION_2),
    (1280, REFINER),
];

/// Stable Diffusion 1.x, as the end of “it is …”.
pub const STABLE_DIFFUSION_1: &str = "a model of the kind of Stable Diffusion 1.x";
/// Stable Diffusion 2.x.
pub const STABLE_DIFFUSION_2: &str = "a model of the kind of Stable Diffusion 2.x";
/// Stable Diffusion 3.
pub const STABLE_DIFFUSION_3: &str = "a model of the kind of Stable Diffusion 3";
/// Flux.
pub const FLUX: &str = "a model of the kind of Flux";
/// Any other diffusion transformer.
pub const TRANSFORMER: &str = "a model of another architecture (a diffusion transformer)";
/// SDXL's refiner.
pub const REFINER: &str = "SDXL's refiner, which goes over the base's pictures";
/// A model with a text encoder more than SDXL has.
pub const THIRD_ENCODER: &str =
    "a model with a third text encoder, such as Stable Diffusion 3 or Flux";
const INPAINTING: &str = "an inpainting model, whose UNet is also given a mask and a picture";
const EDITING: &str = "a model that edits pictures (InstructPix2Pix), whose UNet is also given one";
const CONTROL: &str = "a ControlNet, which steers a model and draws nothing by itself";
const PRUNED: &str = "a pruned SDXL, such as SSD-1B or Vega: some of SDXL's layers are missing";

/// What a model with a text's context of this width is where it isn't SDXL, as the end of “it is …”.
pub fn of_context(width: usize) -> Option<&'static str> {
    let kind = CONTEXTS.iter().find(|(other, _)| *other == width);
    kind.map(|(_, kind)| *kind)
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A single-file checkpoint of SDXL's base, or of a model with the same layers.
    Checkpoint,
    /// SDXL's UNet alone, with diffusers' names.
    UNet,
    /// A LoRA or another adapter.
    Adapter,
    /// Something else, as the end of “it is …”.
    Other(&'static str),
}

impl FileKind {
    /// What the file with this header is.
    pub fn of(header: &Header) -> Self {
        let names = Names::of(header);
        if ADAPTER_PARTS.iter().any(|part| names.have(part)) {
            return FileKind::Adapter;
        }
        for (part, kind) in [
            ("double_blocks.", FLUX),
            ("single_transformer_blocks.", FLUX),
            ("joint_blocks.", STABLE_DIFFUSION_3),
            (".add_q_proj.", STABLE_DIFFUSION_3),
            ("control_model.", CONTROL),
            ("controlnet_", CONTROL),
            ("input_hint_block.", CONTROL),
            (
                "image_proj.",
                "an IP-Adapter, which gives a model a picture as a prompt",
            ),
            ("motion_modules.", "a motion module (AnimateDiff)"),
        ] {
            if names.have(part) {
                return FileKind::Other(kind);
            }
        }
        if let Some(unet) = UNetFile::of(header, &names) {
            return unet.kind();
        }
        for (part, kind) in [
            (CHECKPOINT_UNET, TRANSFORMER),
            ("transformer_blocks.", TRANSFORMER),
            ("decoder.conv_in.weight", "a VAE alone"),
            ("decoder.mid", "a VAE alone"),
            ("first_stage_model.", "a VAE alone"),
            ("text_model.encoder.", "a text encoder alone"),
            ("transformer.resblocks.", "a text encoder alone"),
            (
                "emb_params",
                "an embedding (textual inversion), which a prompt would name",
            ),
            ("conv_first.", "an upscaler"),
        ] {
            if names.have(part) {
                return FileKind::Other(kind);
            }
        }
        if names.are_within(&["clip_l", "clip_g"]) {
            return FileKind::Other("an embedding (textual inversion), which a prompt would name");
        }
        FileKind::Other("a file of tensors of another kind")
    }
}

/// All names of a file's tensors, those that nothing uses too.
struct Names<'a>(BTreeSet<&'a str>);

impl<'a> Names<'a> {
    fn of(header: &'a Header) -> Self {
        Self(header.names().collect())
    }

    fn have(&self, part: &str) -> bool {
        self.0.iter().any(|name| name.contains(part))
    }

    fn begin(&self, start: &str) -> bool {
        self.0.iter().any(|name| name.starts_with(start))
    }

    fn are_within(&self, all: &[&str]) -> bool {
        !self.0.is_empty() && self.0.iter().all(|name| all.contains(name))
    }
}

/// What the header tells of a UNet in the file.
struct UNetFile {
    naming: UNetNaming,
    /// Channels of the picture that it is given.
    channels: usize,
    /// Columns of the layer that embeds sizes and pooled texts; none in models without.
    label: Option<usize>,
    /// Width of the text's context, where it has such a layer.
    context: Option<usize>,
    text_encoders: &'static str,
}

#[derive(PartialEq)]
enum UNetNaming {
    Checkpoint,
    Original,
    Diffusers,
}

impl UNetFile {
    fn of(header: &Header, names: &Names<'_>) -> Option<Self> {
        let shape = |name: &str| {
            let tensor = header.tensors.iter().find(|tensor| tensor.name == name);
            tensor.map(|tensor| tensor.shape.as_slice())
        };
        let spellings = [
            (
                UNetNaming::Checkpoint,
                CHECKPOINT_UNET,
                "input_blocks.0.0",
                "label_emb.0.0",
            ),
            (
                UNetNaming::Original,
                "",
                "input_blocks.0.0",
                "label_emb.0.0",
            ),
            (
                UNetNaming::Diffusers,
                "",
                "conv_in",
                "add_embedding.linear_1",
            ),
        ];
        let columns = |name: &str| shape(name).and_then(|shape| shape.get(1).copied());
        spellings
            .into_iter()
            .find_map(|(naming, prefix, first, label)| {
                let channels = columns(&format!("{prefix}{first}.weight"))?;
                if naming == UNetNaming::Diffusers && !names.begin("down_blocks.") {
                    return None;
                }
                let mut attentions = header.tensors.iter().filter(|tensor| {
                    tensor.name.starts_with(prefix) && tensor.name.ends_with("attn2.to_k.weight")
                });
                let text_encoders = match () {
                    () if names.begin("conditioner.embedders.0.model.") => REFINER,
                    () if names.begin("cond_stage_model.model.") => STABLE_DIFFUSION_2,
                    () if names.begin("cond_stage_model.") => STABLE_DIFFUSION_1,
                    () => "",
                };
                Some(UNetFile {
                    naming,
                    channels,
                    label: columns(&format!("{prefix}{label}.weight")),
                    context: attentions
                        .next()
                        .and_then(|tensor| tensor.shape.get(1).copied()),
                    text_encoders,
                })
            })
    }

    fn kind(&self) -> FileKind {
        let by_context = self.context.and_then(of_context);
        let other = match self.channels {
            9 => Some(INPAINTING),
            8 => Some(EDITING),
            4 if !self.text_encoders.is_empty() => Some(self.text_encoders),
            4 if self.label == Some(REFINER_LABEL) => Some(REFINER),
            4 if by_context.is_some() => by_context,
            4 if self.label.is_none() => {
                Some("a model of another kind, without SDXL's conditioning on sizes")
            }
            4 => None,
            _ => Some("a model whose UNet is given other channels than a picture's four"),
        };
        match (other, &self.naming) {
            (Some(kind), _) => FileKind::Other(kind),
            (None, UNetNaming::Checkpoint) => FileKind::Checkpoint,
            (None, UNetNaming::Diffusers) => FileKind::UNet,
            (None, UNetNaming::Original) => FileKind::Other(
                "a UNet alone with the original code's names, as ComfyUI saves it: take the whole \
                 checkpoint, or the UNet with diffusers' names",
            ),
        }
    }
}

/// What keeps a UNet's file from being one with this config, as the end of “it is …”: layers are missing, or
/// they have other widths; none where it fits. Only the layers by which models differ are looked at.
pub fn misfit(header: &Header, config: &Value) -> Option<&'static str> {
    let stored: BTreeSet<String> = header
        .tensors
        .iter()
        .flat_map(|tensor| match header.naming {
            Naming::Plain => vec![tensor.name.clone()],
            Naming::Checkpoint => {
                let stored = header.naming.stored_names(&tensor.name).into_iter();
                let own = stored.filter_map(|it| Some(it.name.strip_prefix("unet.")?.to_owned()));
                own.collect()
            }
        })
        .collect();
    if layers(config).iter().any(|layer| !stored.contains(layer)) {
        return Some(PRUNED);
    }
    let width = |checkpoint: &str, plain: &str, axis: usize| {
        let checkpoint = format!("{CHECKPOINT_UNET}{checkpoint}");
        let mut tensors = header.tensors.iter();
        let tensor = tensors.find(|tensor| tensor.name == checkpoint || tensor.name == plain)?;
        tensor.shape.get(axis).copied()
    };
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).map(|it| it as usize);
    let channels = config.get("block_out_channels").and_then(|it| it.get(0));
    let label = config.get("projection_class_embeddings_input_dim");
    let is_other = [
        (
            width("input_blocks.0.0.weight", "conv_in.weight", 0),
            number(channels),
        ),
        (
            width("label_emb.0.0.weight", "add_embedding.linear_1.weight", 1),
            number(label),
        ),
    ]
    .into_iter()
    .any(|(found, expected)| found.is_some() && expected.is_some() && found != expected);
    is_other.then_some("a model whose layers have other widths than SDXL's")
}

/// The names of one tensor in each transformer layer of a UNet with this config.
fn layers(config: &Value) -> Vec<String> {
    let texts = |name: &str| -> Vec<&str> {
        let values = config.get(name).and_then(Value::as_array);
        values
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    };
    let (down, up) = (texts("down_block_types"), texts("up_block_types"));
    let number =
        |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or(0).min(64) as usize;
    let per_block = number(config.get("layers_per_block"));
    let depths = config.get("transformer_layers_per_block");
    let depth = |level: usize| match depths {
        Some(Value::Array(depths)) => number(depths.get(level)),
        value => number(value).max(1),
    };
    let mut names = Vec::new();
    let mut add = |block: &str, attentions: usize, depth: usize| {
        for attention in 0..attentions {
            for layer in 0..depth {
                names.push(format!(
                    "{block}.attentions.{attention}.transformer_blocks.{layer}.attn1.to_q.weight"
                ));
            }
        }
    };
    for (level, kind) in down.iter().enumerate() {
        if kind.starts_with("CrossAttn") {
            add(&format!("down_blocks.{level}"), per_block, depth(level));
        }
    }
    for (level, kind) in up.iter().enumerate() {
        if kind.starts_with("CrossAttn") {
            let depth = depth(up.len() - 1 - level);
            add(&format!("up_blocks.{level}"), per_block + 1, depth);
        }
    }
    if let Some(last) = down.len().checked_sub(1) {
        add("mid_block", 1, depth(last));
    }
    names
}

/// What a UNet's `config.json` describes where it isn't SDXL's kind of UNet, as the end of “it is …”.
pub fn other_unet(config: &Value) -> Option<&'static str> {
    let number = |name: &str| {
        config
            .get(name)
            .and_then(Value::as_u64)
            .map(|it| it as usize)
    };
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    if let Some(kind) = text("_class_name").and_then(other_class) {
        return Some(kind);
    }
    match number("in_channels") {
        Some(9) => return Some(INPAINTING),
        Some(8) => return Some(EDITING),
        _ => {}
    }
    if number("projection_class_embeddings_input_dim") == Some(REFINER_LABEL) {
        return Some(REFINER);
    }
    if text("addition_embed_type").is_none() {
        return number("cross_attention_dim").and_then(of_context);
    }
    let has_lists = config
        .get("transformer_layers_per_block")
        .and_then(Value::as_array)
        .is_some_and(|depths| depths.iter().any(Value::is_array));
    let is_set = |name: &str| config.get(name).is_some_and(|value| !value.is_null());
    let without_middle = config.get("mid_block_type").is_some()
        && text("mid_block_type") != Some("UNetMidBlock2DCrossAttn");
    (has_lists || is_set("reverse_transformer_layers_per_block") || without_middle)
        .then_some(PRUNED)
}

/// What diffusers' class of a pipeline or a model is where it isn't SDXL's, as the end of “it is …”.
pub fn other_class(class: &str) -> Option<&'static str> {
    let kinds = [
        ("StableDiffusionXLInpaint", INPAINTING),
        ("StableDiffusionXLInstructPix2Pix", EDITING),
        ("StableDiffusionInpaint", INPAINTING),
        ("StableDiffusion3", STABLE_DIFFUSION_3),
        ("SD3", STABLE_DIFFUSION_3),
        ("Flux", FLUX),
        ("ControlNet", CONTROL),
    ];
    if let Some((_, kind)) = kinds.iter().find(|(start, _)| class.starts_with(start)) {
        return Some(kind);
    }
    let own = [
        "StableDiffusionXL",
        "UNet2DCondition",
        "KDiffusionXL",
        "LatentConsistencyModel",
    ];
    if own.iter().any(|start| class.starts_with(start)) || class.contains("StableDiffusionXL") {
        return None;
    }
    if class.starts_with("StableDiffusion") {
        return Some("a model of the kind of Stable Diffusion 1.x or 2.x");
    }
    (class.ends_with("Pipeline") || class.contains("Transformer")).then_some(TRANSFORMER)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configs_of_other_models_are_told_by_their_kind() {
        let sdxl = json!({
            "_class_name": "UNet2DConditionModel", "in_channels": 4, "addition_embed_type": "text_time",
            "cross_attention_dim": 2048, "projection_class_embeddings_input_dim": 2816,
            "transformer_layers_per_block": [1, 2, 10], "mid_block_type": "UNetMidBlock2DCrossAttn",
        });
        assert_eq!(other_unet(&sdxl), None);
        let with = |name: &str, value: Value| {
            let mut config = sdxl.clone();
            config[name] = value;
            other_unet(&config)
        };
        assert_eq!(with("in_channels", json!(9)), Some(INPAINTING));
        assert_eq!(
            with("projection_class_embeddings_input_dim", json!(2560)),
            Some(REFINER)
        );
        assert_eq!(
            with("mid_block_type", json!("UNetMidBlock2D")),
            Some(PRUNED)
        );
        assert_eq!(
            with("transformer_layers_per_block", json!([0, 2, [4, 10]])),
            Some(PRUNED)
        );
        assert_eq!(
            with("_class_name", json!("FluxTransformer2DModel")),
            Some(FLUX)
        );
        let first = json!({"in_channels": 4, "cross_attention_dim": 768});
        assert_eq!(other_unet(&first), Some(STABLE_DIFFUSION_1));
    }

    #[test]
    fn pipelines_are_told_by_their_class() {
        for own in [
            "StableDiffusionXLPipeline",
            "StableDiffusionXLImg2ImgPipeline",
        ] {
            assert_eq!(other_class(own), None);
        }
        for (class, kind) in [
            ("StableDiffusionXLInpaintPipeline", INPAINTING),
            ("StableDiffusion3Pipeline", STABLE_DIFFUSION_3),
            ("FluxPipeline", FLUX),
            ("PixArtSigmaPipeline", TRANSFORMER),
        ] {
            assert_eq!(other_class(class), Some(kind));
        }
    }
}
