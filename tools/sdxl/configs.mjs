// The configs of Stable Diffusion XL, as the manifests of its pairs have them (configs.py), and of the
// same model at tiny widths, which has the same blocks and kinds of tensors in a few megabytes.

import { readFileSync } from "node:fs";

const { components, schedulers } = JSON.parse(
  readFileSync(new URL("../../public/pairs/sdxl-dmd2.json", import.meta.url), "utf8"),
);
const FULL = Object.fromEntries(
  ["unet", "text_encoder", "text_encoder_2", "vae", "tiny_decoder"].map((name) => [
    name,
    components[name].config,
  ]),
);

const SMALL_TEXT_ENCODER = {
  hidden_size: 32,
  intermediate_size: 64,
  num_attention_heads: 2,
  num_hidden_layers: 2,
  projection_dim: 32,
};

/** The components' configs by scale and diffusers' name of the component. */
export const CONFIGS = {
  full: FULL,
  small: {
    unet: {
      ...FULL.unet,
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
    text_encoder: { ...FULL.text_encoder, ...SMALL_TEXT_ENCODER },
    text_encoder_2: { ...FULL.text_encoder_2, ...SMALL_TEXT_ENCODER },
    vae: { ...FULL.vae, block_out_channels: [32, 32, 64, 64], sample_size: 64 },
    tiny_decoder: {
      ...FULL.tiny_decoder,
      decoder_block_out_channels: [16, 16, 16, 16],
      encoder_block_out_channels: [16, 16, 16, 16],
    },
  },
};

/** Base model: `scheduler/scheduler_config.json`. */
export const SCHEDULER = schedulers.base;

/** `tokenizer/tokenizer_config.json`; the second tokenizer differs in what fills a text up. */
export const TOKENIZER = components.tokenizer.config;

/** `tokenizer_2/tokenizer_config.json`. */
export const TOKENIZER_2 = components.tokenizer_2.config;
