//! diffusers' `UNet2DConditionModel` as SDXL configures it.

use burn::tensor::{Device, Tensor, TensorData, activation::silu};
use serde::Deserialize;

use super::attention::Projections;
use super::error::ModelError;
use super::error::parse_config;
use super::layers::{Conv2d, GroupNorm, channels_first, channels_last};
use super::resnet::ResnetShape;
use super::transformer::TransformerShape;
use super::unet_blocks::{DownBlock, MidBlock, TimestepEmbedding, UpBlock};
use super::weights::Weights;
use crate::kernels::{self, Activation, After};

const COMPONENT: &str = "unet";

/// A value for all blocks, or one for each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum PerBlock {
    /// The same for all.
    All(usize),
    /// One per down block; the up blocks use them in reverse.
    Each(Vec<usize>),
}

impl PerBlock {
    fn get(&self, block: usize) -> Option<usize> {
        match self {
            PerBlock::All(value) => Some(*value),
            PerBlock::Each(values) => values.get(block).copied(),
        }
    }

    fn covers(&self, blocks: usize) -> bool {
        match self {
            PerBlock::All(_) => true,
            PerBlock::Each(values) => values.len() == blocks,
        }
    }
}

/// `unet/config.json`, without the fields that SDXL leaves at their defaults; those that would
/// change the result are refused by [`UNet2DConditionConfig::from_json`].
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct UNet2DConditionConfig {
    /// Channels of the latent.
    pub in_channels: usize,
    /// Channels of the prediction.
    pub out_channels: usize,
    /// Channels of each resolution, from the largest.
    pub block_out_channels: Vec<usize>,
    /// `DownBlock2D` or `CrossAttnDownBlock2D` for each resolution.
    pub down_block_types: Vec<String>,
    /// `UpBlock2D` or `CrossAttnUpBlock2D`, from the smallest resolution.
    pub up_block_types: Vec<String>,
    /// Residual blocks per down block; an up block has one more.
    pub layers_per_block: usize,
    /// Transformer blocks in each transformer.
    #[serde(default = "one_for_all")]
    pub transformer_layers_per_block: PerBlock,
    /// The number of heads: diffusers' name for it is a historical mistake.
    pub attention_head_dim: PerBlock,
    /// The number of heads where a config says it by its right name.
    #[serde(default)]
    pub num_attention_heads: Option<PerBlock>,
    /// Width of the text context.
    pub cross_attention_dim: usize,
    /// Width of the encoding of each of the six size and crop numbers.
    pub addition_time_embed_dim: usize,
    /// Width of the pooled text embedding and the six encodings together.
    pub projection_class_embeddings_input_dim: usize,
    /// Width of the embedded guidance of a full LCM model.
    #[serde(default)]
    pub time_cond_proj_dim: Option<usize>,
    /// Groups of the normalizations.
    pub norm_num_groups: usize,
    /// Epsilon of the normalizations outside of the transformers.
    pub norm_eps: f64,
    /// Whether the timestep's encoding begins with the cosines.
    pub flip_sin_to_cos: bool,
    /// Shift of the timestep's frequencies.
    pub freq_shift: f64,
}

fn one_for_all() -> PerBlock {
    PerBlock::All(1)
}

impl UNet2DConditionConfig {
    /// Reads a `config.json`.
    ///
    /// # Errors
    /// A field is missing or malformed, or asks for something that SDXL has not.
    pub fn from_json(config: &serde_json::Value) -> Result<Self, ModelError> {
        let expectations: [(&'static str, &[serde_json::Value]); 22] = [
            ("addition_embed_type", &["text_time".into()]),
            ("use_linear_projection", &[true.into()]),
            ("act_fn", &["silu".into()]),
            ("mid_block_type", &["UNetMidBlock2DCrossAttn".into()]),
            (
                "time_embedding_type",
                &["positional".into(), serde_json::Value::Null],
            ),
            (
                "resnet_time_scale_shift",
                &["default".into(), serde_json::Value::Null],
            ),
            (
                "attention_type",
                &["default".into(), serde_json::Value::Null],
            ),
            ("downsample_padding", &[1.into(), serde_json::Value::Null]),
            ("conv_in_kernel", &[3.into(), serde_json::Value::Null]),
            ("conv_out_kernel", &[3.into(), serde_json::Value::Null]),
            (
                "center_input_sample",
                &[false.into(), serde_json::Value::Null],
            ),
            (
                "dual_cross_attention",
                &[false.into(), serde_json::Value::Null],
            ),
            (
                "only_cross_attention",
                &[false.into(), serde_json::Value::Null],
            ),
            // Files spell the whole number both ways.
            (
                "resnet_out_scale_factor",
                &[1.into(), 1.0.into(), serde_json::Value::Null],
            ),
            (
                "mid_block_scale_factor",
                &[1.into(), 1.0.into(), serde_json::Value::Null],
            ),
            (
                "resnet_skip_time_act",
                &[false.into(), serde_json::Value::Null],
            ),
            ("time_embedding_act_fn", &[serde_json::Value::Null]),
            ("timestep_post_act", &[serde_json::Value::Null]),
            (
                "mid_block_only_cross_attention",
                &[false.into(), serde_json::Value::Null],
            ),
            ("class_embed_type", &[serde_json::Value::Null]),
            ("encoder_hid_dim_type", &[serde_json::Value::Null]),
            (
                "reverse_transformer_layers_per_block",
                &[serde_json::Value::Null],
            ),
        ];
        for (option, accepted) in expectations {
            let value = config.get(option).unwrap_or(&serde_json::Value::Null);
            if !accepted.contains(value) {
                return Err(ModelError::Unsupported {
                    component: COMPONENT,
                    option,
                    value: value.to_string(),
                });
            }
        }
        let parsed: Self = parse_config(COMPONENT, config)?;
        parsed.check()?;
        Ok(parsed)
    }

    fn check(&self) -> Result<(), ModelError> {
        let wrong = |reason: String| {
            Err(ModelError::Config {
                component: COMPONENT,
                reason,
            })
        };
        let blocks = self.block_out_channels.len();
        if blocks == 0
            || self.down_block_types.len() != blocks
            || self.up_block_types.len() != blocks
            || !self.transformer_layers_per_block.covers(blocks)
            || !self.heads_config().covers(blocks)
        {
            return wrong(
                "block_out_channels, down_block_types, up_block_types, attention_head_dim and transformer_layers_per_block differ in length".into(),
            );
        }
        for (block, &channels) in self.block_out_channels.iter().enumerate() {
            let heads = self.heads(block);
            if self.norm_num_groups == 0 || !channels.is_multiple_of(self.norm_num_groups) {
                return wrong(format!(
                    "{channels} channels can't be normalized in {} groups",
                    self.norm_num_groups
                ));
            }
            if heads == 0 || !channels.is_multiple_of(heads) {
                return wrong(format!(
                    "{channels} channels can't be shared by {heads} heads"
                ));
            }
        }
        if self.layers_per_block == 0 || !self.block_out_channels[0].is_multiple_of(2) {
            return wrong("layers_per_block is 0 or the first channel count is odd".into());
        }
        for kind in &self.down_block_types {
            if !matches!(kind.as_str(), "DownBlock2D" | "CrossAttnDownBlock2D") {
                return wrong(format!("{kind} is no block of SDXL"));
            }
        }
        for kind in &self.up_block_types {
            if !matches!(kind.as_str(), "UpBlock2D" | "CrossAttnUpBlock2D") {
                return wrong(format!("{kind} is no block of SDXL"));
            }
        }
        if self.pooled_dim().is_none() {
            return wrong(
                "projection_class_embeddings_input_dim is too small for six sizes of addition_time_embed_dim".into(),
            );
        }
        Ok(())
    }

    fn heads_config(&self) -> &PerBlock {
        self.num_attention_heads
            .as_ref()
            .unwrap_or(&self.attention_head_dim)
    }

    fn heads(&self, block: usize) -> usize {
        self.heads_config().get(block).unwrap_or(0)
    }

    /// Width of the pooled text embedding; none where the config contradicts itself.
    pub fn pooled_dim(&self) -> Option<usize> {
        self.projection_class_embeddings_input_dim
            .checked_sub(6 * self.addition_time_embed_dim)
    }

    /// Width of the time embedding.
    fn time_embedding_dim(&self) -> usize {
        self.block_out_channels[0] * 4
    }

    fn transformer(&self, block: usize) -> TransformerShape {
        TransformerShape {
            channels: self.block_out_channels[block],
            context: self.cross_attention_dim,
            heads: self.heads(block),
            depth: self.transformer_layers_per_block.get(block).unwrap_or(0),
            groups: self.norm_num_groups,
        }
    }

    fn resnet(&self, input: usize, output: usize) -> ResnetShape {
        ResnetShape {
            input,
            output,
            time_embedding: Some(self.time_embedding_dim()),
            groups: self.norm_num_groups,
            epsilon: self.norm_eps,
        }
    }
}

/// diffusers' `get_timestep_embedding`: `[numbers]` → `[numbers, size]`, on the host since the
/// numbers come from there.
fn sinusoidal_embedding(
    values: &[f32],
    size: usize,
    flip_sin_to_cos: bool,
    freq_shift: f64,
    device: &Device,
) -> Tensor<2> {
    let half = size / 2;
    let mut embedding = Vec::with_capacity(values.len() * size);
    for &value in values {
        let angles = (0..half).map(|index| {
            let exponent = -(10_000f64.ln()) * index as f64 / (half as f64 - freq_shift);
            // The frequency is rounded as torch does, which computes in f32.
            value * exponent.exp() as f32
        });
        let (sines, cosines): (Vec<f32>, Vec<f32>) =
            angles.map(|angle| (angle.sin(), angle.cos())).unzip();
        if flip_sin_to_cos {
            embedding.extend(cosines);
            embedding.extend(sines);
        } else {
            embedding.extend(sines);
            embedding.extend(cosines);
        }
        embedding.resize(embedding.len() + size % 2, 0.0);
    }
    Tensor::from_data(TensorData::new(embedding, [values.len(), size]), device)
}

/// The guidance that a full LCM model takes as an input: diffusers'
/// `get_guidance_scale_embedding` of `guidance_scale − 1`. Returns `[size]` numbers.
pub fn guidance_embedding(guidance_scale: f32, size: usize) -> Vec<f32> {
    let half = size / 2;
    let value = (guidance_scale - 1.0) * 1000.0;
    let angle = |index: usize| {
        value * (-(10_000f64.ln()) * index as f64 / (half as f64 - 1.0)).exp() as f32
    };
    let mut embedding: Vec<f32> = (0..half).map(|index| angle(index).sin()).collect();
    embedding.extend((0..half).map(|index| angle(index).cos()));
    embedding.resize(size, 0.0);
    embedding
}

/// What the UNet is told besides the latent and the timestep.
#[derive(Clone)]
pub struct Conditioning {
    /// Hidden states of the text: `[batch, tokens, cross_attention_dim]`.
    pub context: Tensor<3>,
    /// Pooled text embedding: `[batch, pooled]`.
    pub pooled: Tensor<2>,
    /// Original height and width, crop top and left, target height and width, in pixels: a row for
    /// each of the batch.
    pub time_ids: Vec<[f32; 6]>,
    /// Embedded guidance of a full LCM model: `[batch, time_cond_proj_dim]`.
    pub guidance: Option<Tensor<2>>,
}

impl Conditioning {
    /// Number of the text's tokens, those of all chunks.
    pub fn tokens(&self) -> usize {
        let [_, tokens, _] = self.context.dims();
        tokens
    }

    /// Puts the hidden states of another text behind these, again and again, until there are as many
    /// tokens as asked for; those that are as many or more stay as they are.
    ///
    /// # Shapes
    /// filler: of a batch as large as this one
    #[must_use]
    pub fn filled_up(mut self, tokens: usize, filler: &Self) -> Self {
        let lacking = tokens.saturating_sub(self.tokens());
        let times = lacking.div_ceil(filler.tokens().max(1));
        if times > 0 {
            let further = filler.context.clone().repeat_dim(1, times);
            let further = further.narrow(1, 0, lacking);
            self.context = Tensor::cat(vec![self.context, further], 1);
        }
        self
    }

    /// Both as one batch, this one first: for the two passes of classifier-free guidance.
    pub fn concatenate(self, other: Self) -> Self {
        let time_ids = [self.time_ids, other.time_ids].concat();
        Self {
            context: Tensor::cat(vec![self.context, other.context], 0),
            pooled: Tensor::cat(vec![self.pooled, other.pooled], 0),
            time_ids,
            guidance: match (self.guidance, other.guidance) {
                (Some(first), Some(second)) => Some(Tensor::cat(vec![first, second], 0)),
                _ => None,
            },
        }
    }
}

/// The denoising network of SDXL.
pub struct UNet2DConditionModel {
    config: UNet2DConditionConfig,
    device: Device,
    conv_in: Conv2d,
    time_embedding: TimestepEmbedding,
    add_embedding: TimestepEmbedding,
    /// Those of all residual blocks.
    time_projections: Projections,
    down_blocks: Vec<DownBlock>,
    mid_block: MidBlock,
    up_blocks: Vec<UpBlock>,
    conv_norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl UNet2DConditionModel {
    /// Builds the model from all of the component's tensors.
    ///
    /// # Errors
    /// A tensor is missing, misshapen or left over.
    pub fn load(config: UNet2DConditionConfig, mut weights: Weights) -> Result<Self, ModelError> {
        let model = Self::take(config, &mut weights)?;
        weights.finish()?;
        Ok(model)
    }

    /// Takes the model's tensors.
    pub(super) fn take(
        config: UNet2DConditionConfig,
        weights: &mut Weights,
    ) -> Result<Self, ModelError> {
        let channels = &config.block_out_channels;
        let (first, last) = (channels[0], channels.len() - 1);

        let mut down_blocks = Vec::with_capacity(channels.len());
        let mut input = first;
        for (block, &output) in channels.iter().enumerate() {
            let attends = config.down_block_types[block] == "CrossAttnDownBlock2D";
            let resnets: Vec<_> = (0..config.layers_per_block)
                .map(|index| config.resnet(if index == 0 { input } else { output }, output))
                .collect();
            down_blocks.push(DownBlock::load(
                weights,
                &format!("down_blocks.{block}"),
                &resnets,
                attends.then(|| config.transformer(block)),
                block < last,
            )?);
            input = output;
        }

        let mut mid_block = MidBlock::load(
            weights,
            config.resnet(input, input),
            config.transformer(last),
        )?;

        let mut up_blocks = Vec::with_capacity(channels.len());
        for (position, kind) in config.up_block_types.iter().enumerate() {
            let block = last - position;
            let output = channels[block];
            let resnets: Vec<_> = (0..=config.layers_per_block)
                .map(|index| {
                    // The skip connection of the last layer comes from the resolution above.
                    let skip = if index == config.layers_per_block {
                        channels[block.saturating_sub(1)]
                    } else {
                        output
                    };
                    config.resnet(if index == 0 { input } else { output } + skip, output)
                })
                .collect();
            up_blocks.push(UpBlock::load(
                weights,
                &format!("up_blocks.{position}"),
                &resnets,
                (kind == "CrossAttnUpBlock2D").then(|| config.transformer(block)),
                block > 0,
            )?);
            input = output;
        }

        let down = down_blocks.iter_mut().flat_map(DownBlock::resnets_mut);
        let up = up_blocks.iter_mut().flat_map(UpBlock::resnets_mut);
        let mut projections = Vec::new();
        let mut first = 0;
        for resnet in down.chain(mid_block.resnets_mut()).chain(up) {
            if let Some(projection) = resnet.take_time_projection(first) {
                first += projection.outputs();
                projections.push(projection);
            }
        }
        let time_projections = Projections::new(projections);

        let first = channels[0];
        let time = config.time_embedding_dim();
        Ok(Self {
            time_projections,
            device: weights.device().clone(),
            conv_in: Conv2d::load(weights, "conv_in", config.in_channels, first)?,
            time_embedding: TimestepEmbedding::load(
                weights,
                "time_embedding",
                first,
                time,
                config.time_cond_proj_dim,
            )?,
            add_embedding: TimestepEmbedding::load(
                weights,
                "add_embedding",
                config.projection_class_embeddings_input_dim,
                time,
                None,
            )?,
            down_blocks,
            mid_block,
            up_blocks,
            conv_norm_out: GroupNorm::load(
                weights,
                "conv_norm_out",
                first,
                config.norm_num_groups,
                config.norm_eps,
            )?,
            conv_out: Conv2d::load(weights, "conv_out", first, config.out_channels)?,
            config,
        })
    }

    /// The config that the model was built from.
    pub fn config(&self) -> &UNet2DConditionConfig {
        &self.config
    }

    fn sinusoidal(&self, values: &[f32], size: usize) -> Tensor<2> {
        sinusoidal_embedding(
            values,
            size,
            self.config.flip_sin_to_cos,
            self.config.freq_shift,
            &self.device,
        )
    }

    /// What the model makes of a conditioning alone: it is the same at every step.
    pub fn prepare(&self, conditioning: &Conditioning) -> PreparedConditioning {
        let [batch, _] = conditioning.pooled.dims();
        let size = self.config.addition_time_embed_dim;
        let sizes = self
            .sinusoidal(conditioning.time_ids.as_flattened(), size)
            .reshape([batch, 6 * size]);
        let addition = Tensor::cat(vec![conditioning.pooled.clone(), sizes], 1);
        let context = &kernels::to_activations(conditioning.context.clone());
        let down = self.down_blocks.iter();
        let up = self.up_blocks.iter();
        PreparedConditioning {
            addition: self.add_embedding.forward(addition, None),
            guidance: conditioning.guidance.clone(),
            keys_values: down
                .flat_map(|block| block.keys_values(context))
                .chain(self.mid_block.keys_values(context))
                .chain(up.flat_map(|block| block.keys_values(context)))
                .collect(),
        }
    }

    /// The sum of the timestep's, the sizes' and the pooled text's embeddings: `[batch, 4 · channels]`.
    fn embed(&self, timestep: f32, conditioning: &PreparedConditioning) -> Tensor<2> {
        let [batch, _] = conditioning.addition.dims();
        let time = self.sinusoidal(&vec![timestep; batch], self.config.block_out_channels[0]);
        let time = self
            .time_embedding
            .forward(time, conditioning.guidance.clone());
        time + conditioning.addition.clone()
    }

    /// Predicts the noise (or whatever the scheduler's `prediction_type` says) in a latent.
    ///
    /// # Shapes
    /// - sample: `[batch, in_channels, height, width]`
    /// - output: `[batch, out_channels, height, width]`
    pub fn forward(
        &self,
        sample: Tensor<4>,
        timestep: f32,
        conditioning: &PreparedConditioning,
    ) -> Tensor<4> {
        // Every residual block takes it so, and a projection of its own.
        let embedding = silu(self.embed(timestep, conditioning));
        let [batch, size] = embedding.dims();
        let embedding = kernels::to_activations(embedding.reshape([1, batch, size]));
        let time = self.time_projections.forward(&embedding);
        let [_, _, columns] = time.dims();
        let time = time.reshape([batch, columns]);
        let keys_values = &mut conditioning.keys_values.iter();

        let mut hidden = self.conv_in.forward(
            kernels::to_activations(channels_last(sample)),
            After::default(),
        );
        let mut skips = vec![hidden.clone()];
        for block in &self.down_blocks {
            hidden = block.forward(hidden, &time, keys_values, &mut skips);
        }
        hidden = self.mid_block.forward(hidden, &time, keys_values);
        for block in &self.up_blocks {
            hidden = block.forward(hidden, &time, keys_values, &mut skips);
        }
        let normed = self.conv_norm_out.forward(hidden, Activation::Silu);
        channels_first(kernels::to_f32(
            self.conv_out.forward(normed, After::default()),
        ))
    }
}

/// A [`Conditioning`] as one model takes it, see [`UNet2DConditionModel::prepare`].
pub struct PreparedConditioning {
    /// `[batch, 4 · channels]`.
    addition: Tensor<2>,
    /// Embedded guidance of a full LCM model: `[batch, time_cond_proj_dim]`.
    guidance: Option<Tensor<2>>,
    /// The text's keys and values for each cross-attention, in the order in which they come.
    keys_values: Vec<Tensor<3>>,
}

impl PreparedConditioning {
    /// The conditioning of a batch in which this one's comes so many times.
    ///
    /// # Shapes
    /// `[batch, …]` → `[times · batch, …]`, the whole batch again and again.
    #[must_use]
    pub fn repeat(&self, times: usize) -> Self {
        // What is repeated is a view of one image, which each kernel would copy for itself.
        fn repeated<const D: usize>(tensor: &Tensor<D>, times: usize) -> Tensor<D> {
            kernels::contiguous(tensor.clone().repeat_dim(0, times))
        }
        let keys_values = self.keys_values.iter();
        Self {
            addition: repeated(&self.addition, times),
            guidance: self.guidance.as_ref().map(|it| repeated(it, times)),
            keys_values: keys_values.map(|it| repeated(it, times)).collect(),
        }
    }
}
