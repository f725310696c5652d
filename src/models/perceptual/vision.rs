//! Vision transformers: transformers' `CLIPVisionModelWithProjection`, and the `VisionTransformer` of timm
//! and DINO up to its last block.

use burn::tensor::Tensor;
use serde::Deserialize;

use crate::kernels::{self, Activation as After, Layer};
use crate::models::encoder_layer::{Activation, EncoderLayer, LayerNames, LayerShape};
use crate::models::error::{ModelError, parse_config};
use crate::models::layers::{LayerNorm, Linear};
use crate::models::weights::Weights;
use crate::weights::format::tensor::StoredTensor;

const COMPONENT: &str = "image encoder";
/// Red, green and blue.
const CHANNELS: usize = 3;

/// Of which kind a vision transformer is: the name of its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum VisionClass {
    /// transformers' CLIP: a normalization before and after the layers, and a projection.
    #[serde(rename = "CLIPVisionModelWithProjection")]
    Clip,
    /// timm's and DINO's, of which DreamSim takes the class token after the last block as it is: the
    /// normalization that follows in DINO is left out.
    #[serde(rename = "VisionTransformer")]
    Dino,
    /// CLIP's encoder in DINO's class, as DreamSim's ensemble has it: a normalization in place of the dropout
    /// after the positions, one after the layers, and a projection.
    #[serde(rename = "VisionTransformerWithProjection")]
    ClipAsDino,
}

/// The config of an image encoder: `vision_config` of CLIP's `config.json`, with its `projection_dim` and the
/// name of the class; the same fields for DINO.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct VisionConfig {
    /// One name.
    pub architectures: [VisionClass; 1],
    /// Side of the pictures in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// The feed-forward network's activation.
    pub hidden_act: Activation,
    /// Epsilon of the normalizations.
    pub layer_norm_eps: f64,
    /// Width of CLIP's embedding.
    #[serde(default)]
    pub projection_dim: Option<usize>,
}

impl VisionConfig {
    /// Reads a config.
    ///
    /// # Errors
    /// A field is missing or malformed, or the sizes don't fit together.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let parsed: Self = parse_config(COMPONENT, config)?;
        let Self {
            image_size,
            patch_size,
            hidden_size,
            num_attention_heads: heads,
            ..
        } = parsed;
        let fits = patch_size > 0
            && image_size > 0
            && image_size.is_multiple_of(patch_size)
            && heads > 0
            && hidden_size.is_multiple_of(heads);
        let lacks_projection = parsed.has_projection() && parsed.projection_dim.is_none();
        if !fits || lacks_projection {
            return Err(ModelError::Config {
                component: COMPONENT,
                reason: "image_size isn't a multiple of patch_size, hidden_size can't be shared by num_attention_heads, or CLIP's projection_dim is missing".into(),
            });
        }
        Ok(parsed)
    }

    /// The kind of the model.
    pub fn class(&self) -> VisionClass {
        let [class] = self.architectures;
        class
    }

    /// Width of the embeddings.
    pub fn embedding_size(&self) -> usize {
        match self.projection_dim {
            Some(size) if self.has_projection() => size,
            _ => self.hidden_size,
        }
    }

    fn has_projection(&self) -> bool {
        self.class() != VisionClass::Dino
    }

    /// Whether the encoder has a tensor of that name, for files that hold more: CLIP's text encoder, DINO's
    /// last normalization and its heads.
    pub fn uses(&self, name: &str) -> bool {
        match self.class() {
            VisionClass::Clip => {
                let is_constant = name.ends_with(".position_ids");
                !is_constant
                    && (name.starts_with("vision_model.") || name == "visual_projection.weight")
            }
            VisionClass::Dino => is_of(name, &DINO_PARTS),
            VisionClass::ClipAsDino => is_of(name, &DINO_PARTS) || is_of(name, &HEAD_PARTS),
        }
    }

    fn layer_shape(&self) -> LayerShape {
        LayerShape {
            size: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            is_causal: false,
            epsilon: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }

    fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// Beginnings of the names of the tensors of DINO's class up to its last block, and of what follows that.
const DINO_PARTS: [&str; 4] = ["cls_token", "pos_embed", "patch_embed.", "blocks."];
const HEAD_PARTS: [&str; 3] = ["pos_drop.", "norm.", "proj.weight"];

fn is_of(name: &str, parts: &[&str]) -> bool {
    parts.iter().any(|start| name.starts_with(start))
}

/// Names of DINO's two tables, and those of CLIP's in their place.
const TABLES: [(&str, &str); 2] = [
    ("cls_token", "class_embedding"),
    ("pos_embed", "position_embedding.weight"),
];

/// A tensor under the name and in the shape in which the encoder takes it: DINO's tables have a batch of one
/// before their own dimensions.
#[must_use]
pub fn in_canonical_layout(mut tensor: StoredTensor) -> StoredTensor {
    let renamed = TABLES.into_iter().find(|(own, _)| *own == tensor.name);
    if let (Some((own, canonical)), &[1, rows, size]) = (renamed, tensor.shape.as_slice()) {
        tensor.name = canonical.into();
        tensor.shape = if own == "cls_token" {
            vec![rows * size]
        } else {
            vec![rows, size]
        };
    }
    tensor
}

/// A picture encoder.
pub struct VisionModel {
    config: VisionConfig,
    /// `[size, patch · patch · 3]`.
    patch_embedding: Layer,
    class_embedding: Tensor<1>,
    position_embedding: Tensor<2>,
    first_norm: Option<LayerNorm>,
    layers: Vec<EncoderLayer>,
    head: Option<(LayerNorm, Linear)>,
}

impl VisionModel {
    /// Builds the encoder from the tensors that it [uses](VisionConfig::uses), each in its
    /// [canonical layout](in_canonical_layout), with the branches beside them.
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: VisionConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let (size, patch) = (config.hidden_size, config.patch_size);
        let positions = [config.patches() + 1, size];
        let shape = config.layer_shape();
        let kernel = [size, CHANNELS, patch, patch];
        let norm = |weights: &mut Weights, name: &str| {
            LayerNorm::load(weights, name, size, config.layer_norm_eps)
        };
        let model = match config.class() {
            VisionClass::Clip => {
                let tables = "vision_model.embeddings";
                Self {
                    patch_embedding: weights
                        .take_layer(&format!("{tables}.patch_embedding.weight"), &kernel)?,
                    class_embedding: weights.take(&format!("{tables}.class_embedding"), [size])?,
                    position_embedding: weights
                        .take_rows(&format!("{tables}.position_embedding.weight"), positions)?,
                    // The published tensors are spelled so.
                    first_norm: Some(norm(&mut weights, "vision_model.pre_layrnorm")?),
                    layers: layers(&mut weights, "vision_model.encoder.layers", &config, shape)?,
                    head: Some((
                        norm(&mut weights, "vision_model.post_layernorm")?,
                        Linear::load_without_bias(
                            &mut weights,
                            "visual_projection",
                            size,
                            config.embedding_size(),
                        )?,
                    )),
                    config,
                }
            }
            VisionClass::Dino | VisionClass::ClipAsDino => {
                let (mut first_norm, mut head) = (None, None);
                if config.has_projection() {
                    first_norm = Some(norm(&mut weights, "pos_drop")?);
                    let width = config.embedding_size();
                    let projection = Linear::load_without_bias(&mut weights, "proj", size, width)?;
                    head = Some((norm(&mut weights, "norm")?, projection));
                }
                Self {
                    patch_embedding: weights.take_biased_layer("patch_embed.proj", &kernel)?,
                    class_embedding: weights.take("class_embedding", [size])?,
                    position_embedding: weights
                        .take_rows("position_embedding.weight", positions)?,
                    first_norm,
                    layers: layers(&mut weights, "blocks", &config, shape)?,
                    head,
                    config,
                }
            }
        };
        weights.finish()?;
        Ok(model)
    }

    /// The config that the model was built from.
    pub fn config(&self) -> &VisionConfig {
        &self.config
    }

    /// The embeddings of pictures, not normalized: CLIP's projected class token, or DINO's class token
    /// after its last block.
    ///
    /// # Shapes
    /// - pictures: `[batch, image_size, image_size, 3]`
    /// - output: `[batch, embedding_size]`, `f32`
    pub fn forward(&self, pictures: Tensor<4>) -> Tensor<2> {
        let [batch, height, width, _] = pictures.dims();
        let (size, patch) = (self.config.hidden_size, self.config.patch_size);
        let (rows, columns) = (height / patch, width / patch);
        // A convolution whose patches don't overlap is a product with the patches.
        let patches = pictures
            .reshape([batch, rows, patch, columns, patch * CHANNELS])
            .swap_dims(2, 3)
            .reshape([batch, rows * columns, patch * patch * CHANNELS]);
        let patches = kernels::to_activations(kernels::contiguous(patches));
        let patches = kernels::linear(patches, &self.patch_embedding, kernels::After::default());
        let class = self.class_embedding.clone().reshape([1, 1, size]);
        let class = kernels::to_activations(class.expand([batch, 1, size]));
        let positions = kernels::to_activations(self.position_embedding.clone());
        let mut hidden = Tensor::cat(vec![class, patches], 1) + positions.unsqueeze();
        if let Some(norm) = &self.first_norm {
            hidden = norm.forward(hidden);
        }
        for layer in &self.layers {
            hidden = layer.forward(hidden);
        }
        let class = kernels::contiguous(hidden.narrow(1, 0, 1));
        let embedding = match &self.head {
            Some((norm, projection)) => {
                let class = norm.forward(class).reshape([batch, size]);
                projection.forward_vectors(class, After::Identity)
            }
            None => class.reshape([batch, size]),
        };
        kernels::to_f32(embedding)
    }
}

fn layers(
    weights: &mut Weights,
    path: &str,
    config: &VisionConfig,
    shape: LayerShape,
) -> Result<Vec<EncoderLayer>, ModelError> {
    let names = match config.class() {
        VisionClass::Clip => LayerNames::Clip,
        VisionClass::Dino | VisionClass::ClipAsDino => LayerNames::Dino,
    };
    (0..config.num_hidden_layers)
        .map(|index| EncoderLayer::load(weights, &format!("{path}.{index}"), names, shape))
        .collect()
}
