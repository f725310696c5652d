// The configs of Stable Diffusion XL in diffusers' layout, and of the same model at tiny widths,
// which has the same blocks and kinds of tensors in a few megabytes.

const UNET = {
  _class_name: "UNet2DConditionModel",
  act_fn: "silu",
  addition_embed_type: "text_time",
  addition_time_embed_dim: 256,
  // The number of heads: diffusers' name for it is a historical mistake.
  attention_head_dim: [5, 10, 20],
  block_out_channels: [320, 640, 1280],
  center_input_sample: false,
  class_embed_type: null,
  conv_in_kernel: 3,
  conv_out_kernel: 3,
  cross_attention_dim: 2048,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  downsample_padding: 1,
  dual_cross_attention: false,
  encoder_hid_dim: null,
  encoder_hid_dim_type: null,
  flip_sin_to_cos: true,
  freq_shift: 0,
  in_channels: 4,
  layers_per_block: 2,
  mid_block_only_cross_attention: null,
  mid_block_scale_factor: 1,
  mid_block_type: "UNetMidBlock2DCrossAttn",
  norm_eps: 1e-5,
  norm_num_groups: 32,
  num_attention_heads: null,
  only_cross_attention: false,
  out_channels: 4,
  projection_class_embeddings_input_dim: 2816,
  resnet_out_scale_factor: 1.0,
  resnet_skip_time_act: false,
  resnet_time_scale_shift: "default",
  sample_size: 128,
  time_cond_proj_dim: null,
  time_embedding_act_fn: null,
  time_embedding_type: "positional",
  timestep_post_act: null,
  transformer_layers_per_block: [1, 2, 10],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  use_linear_projection: true,
};

const TEXT_ENCODER = {
  architectures: ["CLIPTextModel"],
  bos_token_id: 0,
  // As in the real files, although the vocabulary's last token ends a text: transformers takes a 2
  // for that.
  eos_token_id: 2,
  hidden_act: "quick_gelu",
  hidden_size: 768,
  intermediate_size: 3072,
  layer_norm_eps: 1e-5,
  max_position_embeddings: 77,
  model_type: "clip_text_model",
  num_attention_heads: 12,
  num_hidden_layers: 12,
  pad_token_id: 1,
  projection_dim: 768,
  vocab_size: 49408,
};

const TEXT_ENCODER_2 = {
  ...TEXT_ENCODER,
  architectures: ["CLIPTextModelWithProjection"],
  hidden_act: "gelu",
  hidden_size: 1280,
  intermediate_size: 5120,
  num_attention_heads: 20,
  num_hidden_layers: 32,
  projection_dim: 1280,
};

const VAE = {
  _class_name: "AutoencoderKL",
  act_fn: "silu",
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array(4).fill("DownEncoderBlock2D"),
  force_upcast: true,
  in_channels: 3,
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  out_channels: 3,
  sample_size: 1024,
  scaling_factor: 0.13025,
  up_block_types: Array(4).fill("UpDecoderBlock2D"),
};

const TINY_DECODER = {
  _class_name: "AutoencoderTiny",
  act_fn: "relu",
  decoder_block_out_channels: [64, 64, 64, 64],
  encoder_block_out_channels: [64, 64, 64, 64],
  in_channels: 3,
  latent_channels: 4,
  latent_magnitude: 3,
  latent_shift: 0.5,
  num_decoder_blocks: [3, 3, 3, 1],
  num_encoder_blocks: [1, 3, 3, 3],
  out_channels: 3,
  scaling_factor: 1.0,
  upsampling_scaling_factor: 2,
};

const SMALL_TEXT_ENCODER = {
  hidden_size: 32,
  intermediate_size: 64,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  projection_dim: 32,
};

/** The components' configs by scale and diffusers' name of the component. */
export const CONFIGS = {
  full: {
    unet: UNET,
    text_encoder: TEXT_ENCODER,
    text_encoder_2: TEXT_ENCODER_2,
    vae: VAE,
    tiny_decoder: TINY_DECODER,
  },
  small: {
    unet: {
      ...UNET,
      addition_time_embed_dim: 32,
      attention_head_dim: [1, 2, 2],
      block_out_channels: [32, 64, 64],
      // The hidden states of both text encoders, side by side.
      cross_attention_dim: 64,
      // The pooled text and six encoded numbers.
      projection_class_embeddings_input_dim: 32 + 6 * 32,
      sample_size: 8,
      transformer_layers_per_block: [1, 1, 2],
    },
    text_encoder: { ...TEXT_ENCODER, ...SMALL_TEXT_ENCODER },
    text_encoder_2: { ...TEXT_ENCODER_2, ...SMALL_TEXT_ENCODER },
    vae: { ...VAE, block_out_channels: [32, 32, 64, 64], sample_size: 64 },
    tiny_decoder: {
      ...TINY_DECODER,
      decoder_block_out_channels: [16, 16, 16, 16],
      encoder_block_out_channels: [16, 16, 16, 16],
    },
  },
};

/** Base model: `scheduler/scheduler_config.json`. */
export const SCHEDULER = {
  _class_name: "EulerDiscreteScheduler",
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  beta_start: 0.00085,
  clip_sample: false,
  interpolation_type: "linear",
  num_train_timesteps: 1000,
  prediction_type: "epsilon",
  sample_max_value: 1.0,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  timestep_spacing: "leading",
  trained_betas: null,
  use_karras_sigmas: false,
};

/** `model_index.json`. */
export const MODEL_INDEX = {
  _class_name: "StableDiffusionXLPipeline",
  force_zeros_for_empty_prompt: true,
  scheduler: ["diffusers", "EulerDiscreteScheduler"],
  text_encoder: ["transformers", "CLIPTextModel"],
  text_encoder_2: ["transformers", "CLIPTextModelWithProjection"],
  tokenizer: ["transformers", "CLIPTokenizer"],
  tokenizer_2: ["transformers", "CLIPTokenizer"],
  unet: ["diffusers", "UNet2DConditionModel"],
  vae: ["diffusers", "AutoencoderKL"],
};

/** A token as the real tokenizers' configs spell it. */
function addedToken(content) {
  const options = { lstrip: false, normalized: true, rstrip: false, single_word: false };
  return { __type: "AddedToken", content, ...options };
}

/** `tokenizer/tokenizer_config.json`; the second tokenizer differs in what fills a text up. */
export const TOKENIZER = {
  add_prefix_space: false,
  bos_token: addedToken("<|startoftext|>"),
  do_lower_case: true,
  eos_token: addedToken("<|endoftext|>"),
  errors: "replace",
  model_max_length: 77,
  pad_token: "<|endoftext|>",
  tokenizer_class: "CLIPTokenizer",
  unk_token: addedToken("<|endoftext|>"),
};

/** `tokenizer_2/tokenizer_config.json`. */
export const TOKENIZER_2 = { ...TOKENIZER, pad_token: "!" };
