// A small Stable Diffusion XL in a hub's folders, and manifests of pairs that are made of it.

import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { writeModels } from "../../tools/sdxl/full_size.mjs";
import { CONFIGS, SCHEDULER, TOKENIZER, TOKENIZER_2 } from "../../tools/sdxl/configs.mjs";
import { DIST, PAIR_PATH } from "./page.mjs";

const BASE = "stabilityai/stable-diffusion-xl-base-1.0";

/** What all pairs share, by component. */
export const SHARED = {
  unet: { repository: BASE, path: "unet/diffusion_pytorch_model.fp16.safetensors" },
  text_encoder: { repository: BASE, path: "text_encoder/model.fp16.safetensors" },
  text_encoder_2: { repository: BASE, path: "text_encoder_2/model.fp16.safetensors" },
  vae: { repository: BASE, path: "vae/diffusion_pytorch_model.fp16.safetensors" },
  tiny_decoder: {
    repository: "madebyollin/taesdxl",
    path: "diffusion_pytorch_model.safetensors",
  },
};

/** Distilled models, by a short name: a whole UNet, or an adapter on the base's. */
export const DISTILLED = {
  dmd2: { repository: "tianweiy/DMD2", path: "dmd2_sdxl_4step_unet_fp16.safetensors" },
  "dmd2-lora": {
    repository: "tianweiy/DMD2",
    path: "dmd2_sdxl_4step_lora_fp16.safetensors",
    adapter_on: "unet",
  },
  lightning: {
    repository: "ByteDance/SDXL-Lightning",
    path: "sdxl_lightning_4step_unet.safetensors",
  },
  "lcm-lora": {
    repository: "latent-consistency/lcm-lora-sdxl",
    path: "pytorch_lora_weights.safetensors",
    adapter_on: "unet",
  },
};

/**
 * A temporary folder with the small model's repositories: about 60 MB, or what is wanted of it. The
 * bytes are the same each time.
 *
 * @param {(path: string) => boolean} [wants] by "owner/name/path", which of the files with weights
 */
export async function smallModels(wants) {
  const root = await mkdtemp(join(tmpdir(), "firststep-hub-"));
  await writeModels(root, { scale: "small", wants });
  return root;
}

/**
 * The manifest of a pair whose weights lie on the hub. It is meant to be served in the page's
 * folder pairs/, for the tokenizers are the emoji pair's.
 *
 * @param {import("./hub.mjs").Hub} hub
 * @param {object} options
 * @param {keyof typeof DISTILLED} [options.distilled]
 * @param {boolean} [options.proven] whether the manifest has the files' sizes and SHA-256 itself;
 *   the hub has to be asked for them otherwise
 * @param {(file: {repository: string, path: string}) => object} [options.place] how the manifest
 *   says where a file is; on the hub, at the commit that its repository has, by default
 */
export async function smallPair(
  hub,
  { distilled = "dmd2", proven = true, place = ({ path, ...file }) => onHub(hub, path, file) } = {},
) {
  const emoji = JSON.parse(await readFile(join(DIST, PAIR_PATH, "manifest.json"), "utf8"));
  const file = async (named) => ({
    ...place(named),
    ...(proven ? await hub.describe(`${named.repository}/${named.path}`) : {}),
  });
  const component = async (name, { adapter_on, ...named }) => ({
    config: CONFIGS.small[name],
    files: [await file(named)],
    ...(adapter_on === undefined ? {} : { adapter_on }),
  });
  const tokenizer = (name, config) => ({
    config,
    files: emoji.components[name].files.map((file) => ({ ...file, path: `emoji/${file.path}` })),
  });
  const components = {};
  for (const [name, named] of Object.entries(SHARED)) {
    components[name] = await component(name, named);
  }
  components.unet_distilled = await component("unet", DISTILLED[distilled]);
  components.tokenizer = tokenizer("tokenizer", TOKENIZER);
  components.tokenizer_2 = tokenizer("tokenizer_2", TOKENIZER_2);
  return {
    format: 2,
    id: `sdxl-small-${distilled}`,
    name: `Small SDXL, ${distilled}`,
    description: "Random weights in the layout of Stable Diffusion XL.",
    licence: { name: "CC0-1.0", url: "https://creativecommons.org/publicdomain/zero/1.0/" },
    attribution: "Random numbers. The vocabulary is CLIP's (OpenAI, MIT).",
    image_size: [64, 64],
    force_zeros_for_empty_prompt: true,
    components,
    schedulers: { base: SCHEDULER, distilled: emoji.schedulers.distilled },
    defaults: {
      ...emoji.defaults,
      base_steps: 2,
      hybrid_base_steps: 1,
      distilled_timesteps: [999, 749, 499, 249],
    },
  };
}

function onHub(hub, path, { repository }) {
  return { path, hub: { repository, revision: hub.commit(repository) } };
}
