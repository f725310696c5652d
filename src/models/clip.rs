//! transformers' `CLIPTextModel` and `CLIPTextModelWithProjection`.

use burn::tensor::Tensor;
use serde::Deserialize;

use super::encoder_layer::{Activation, EncoderLayer, LayerNames, LayerShape};
use super::error::ModelError;
use super::error::parse_config;
use super::layers::{LayerNorm, Linear};
use super::weights::Table;
use super::weights::Weights;
use crate::kernels;

const COMPONENT: &str = "text encoder";

/// `text_encoder/config.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ClipTextConfig {
    /// `CLIPTextModel` or `CLIPTextModelWithProjection`.
    pub architectures: Vec<String>,
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Length of a prompt in tokens.
    pub max_position_embeddings: usize,
    /// Width of the projected pooled output.
    pub projection_dim: usize,
    /// The feed-forward network's activation.
    pub hidden_act: Activation,
    /// Epsilon of the normalizations.
    pub layer_norm_eps: f64,
    /// The token that ends a text.
    pub eos_token_id: u32,
}

impl ClipTextConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// A field is missing or malformed.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let parsed: Self = parse_config(COMPONENT, config)?;
        let heads = parsed.num_attention_heads;
        if heads == 0 || !parsed.hidden_size.is_multiple_of(heads) || parsed.num_hidden_layers < 2 {
            return Err(ModelError::Config {
                component: COMPONENT,
                reason: "hidden_size can't be shared by num_attention_heads, or there are fewer than two layers".into(),
            });
        }
        Ok(parsed)
    }

    /// Width of the pooled text.
    pub fn pooled_size(&self) -> usize {
        if self.has_projection() {
            self.projection_dim
        } else {
            self.hidden_size
        }
    }

    /// Whether the encoder has a tensor of that name, for files in which other programs have left more: a
    /// projection that this encoder doesn't use, the scale of the logits, or the half for pictures.
    pub fn uses(&self, name: &str) -> bool {
        let unused = ["logit_scale", "vision_model.", "visual_projection."];
        let is_unused = unused.iter().any(|start| name.starts_with(start));
        !is_unused && (self.has_projection() || !name.starts_with("text_projection."))
    }

    fn layer_shape(&self) -> LayerShape {
        LayerShape {
            size: self.hidden_size,
            inner: self.intermediate_size,
            heads: self.num_attention_heads,
            is_causal: true,
            epsilon: self.layer_norm_eps,
            activation: self.hidden_act,
        }
    }

    fn has_projection(&self) -> bool {
        self.architectures
            .iter()
            .any(|name| name == "CLIPTextModelWithProjection")
    }
}

/// What SDXL uses of an encoded text.
pub struct TextEncoding {
    /// The hidden states before the last layer, not normalized: `[1, tokens, hidden_size]`.
    pub penultimate: Tensor<3>,
    /// The normalized last hidden state at the end of the text, projected where the model has a
    /// projection: `[1, projection_dim]`, else `[1, hidden_size]`.
    pub pooled: Tensor<2>,
}

/// A CLIP text encoder.
pub struct ClipTextModel {
    config: ClipTextConfig,
    token_embedding: Table,
    position_embedding: Tensor<2>,
    layers: Vec<EncoderLayer>,
    final_layer_norm: LayerNorm,
    text_projection: Option<Linear>,
}

impl ClipTextModel {
    /// Builds the encoder from all of the component's tensors.
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: ClipTextConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let model = Self::take(config, &mut weights)?;
        weights.finish()?;
        Ok(model)
    }

    /// Takes the encoder's tensors.
    pub(super) fn take(config: ClipTextConfig, weights: &mut Weights) -> Result<Self, ModelError> {
        let size = config.hidden_size;
        // transformers 5 saves a model without projection without this prefix.
        let prefix = if weights.contains("embeddings.token_embedding.weight") {
            ""
        } else {
            "text_model."
        };
        let token_embedding = weights.take_table(
            &format!("{prefix}embeddings.token_embedding.weight"),
            [config.vocab_size, size],
        )?;
        let position_embedding = weights.take_rows(
            &format!("{prefix}embeddings.position_embedding.weight"),
            [config.max_position_embeddings, size],
        )?;
        let shape = config.layer_shape();
        let layers = (0..config.num_hidden_layers)
            .map(|index| {
                let path = format!("{prefix}encoder.layers.{index}");
                EncoderLayer::load(weights, &path, LayerNames::Clip, shape)
            })
            .collect::<Result<_, _>>()?;
        let final_layer_norm = LayerNorm::load(
            weights,
            &format!("{prefix}final_layer_norm"),
            size,
            config.layer_norm_eps,
        )?;
        let text_projection = if config.has_projection() {
            Some(Linear::load_without_bias(
                weights,
                "text_projection",
                size,
                config.projection_dim,
            )?)
        } else {
            None
        };
        Ok(Self {
            config,
            token_embedding,
            position_embedding,
            layers,
            final_layer_norm,
            text_projection,
        })
    }

    /// The config that the model was built from.
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// Encodes one text of at most `max_position_embeddings` token ids, padding included.
    pub fn encode(&self, token_ids: &[u32]) -> TextEncoding {
        let tokens = token_ids.len();
        let positions = self.position_embedding.clone().narrow(0, 0, tokens);
        let embedded = self.token_embedding.rows(token_ids) + positions;
        let mut hidden: Tensor<3> = embedded.unsqueeze();

        let mut penultimate = hidden.clone();
        for layer in &self.layers {
            penultimate = hidden.clone();
            hidden = layer.forward(hidden);
        }
        let last = self.final_layer_norm.forward(hidden);

        // The published configs carry the id 2 of an old vocabulary; transformers then takes the
        // largest id of the text, which is the true end token.
        let end_id = match self.config.eos_token_id {
            2 => token_ids.iter().max().copied(),
            id => Some(id),
        };
        let end = token_ids
            .iter()
            .position(|&id| Some(id) == end_id)
            .unwrap_or(tokens.saturating_sub(1));
        let pooled = last
            .slice([0..1, end..end + 1, 0..self.config.hidden_size])
            .reshape([1, self.config.hidden_size]);
        TextEncoding {
            penultimate,
            pooled: match &self.text_projection {
                Some(projection) => {
                    projection.forward_vectors(pooled, kernels::Activation::Identity)
                }
                None => pooled,
            },
        }
    }
}
