// Which tensors a model of Stable Diffusion XL has, by its diffusers or transformers config: what the
// native program `pack layout` prints. A tensor is { name, shape }.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PACK =
  process.env.PACK ?? join(process.env.CARGO_TARGET_DIR ?? join(ROOT, "target"), "debug", "pack");

/** The entries of the JSON object that `pack layout` prints for a config. */
function printed(config, options) {
  if (!existsSync(PACK)) {
    throw new Error(
      `${PACK} is missing: build it with \`cargo build --bin pack\`, or set PACK to its path.`,
    );
  }
  const text = execFileSync(PACK, ["layout", "-", ...options], {
    input: JSON.stringify(config),
    maxBuffer: 64 * 1024 * 1024,
    encoding: "utf8",
  });
  return Object.entries(JSON.parse(text));
}

/** The tensors of the model with a config. */
export function tensorsOf(config) {
  return printed(config, []).map(([name, shape]) => ({ name, shape }));
}

/** The tensors of a LoRA on a UNet, in kohya's spelling over diffusers' names. */
export function loraTensors(config, rank) {
  return printed(config, ["--lora", String(rank)]).map(([name, shape]) => ({ name, shape }));
}

/**
 * A whole model as one file in the original's names. Every tensor says of which tensors in
 * diffusers' names it is made (`parts`, one after the other), and of which component they are.
 * The constants that such files hold have no parts: `position_ids` counts up from 0.
 *
 * @param {{unet: object, text_encoder: object, text_encoder_2: object, vae: object}} configs
 */
export function singleFileTensors(configs) {
  const components = ["unet", "vae", "text_encoder", "text_encoder_2"].flatMap((component) => {
    const config = configs[component];
    const shapes = new Map(tensorsOf(config).map(({ name, shape }) => [name, shape]));
    return printed(config, ["--checkpoint"]).map(([name, { shape, parts, form }]) => ({
      name,
      shape,
      component,
      parts: parts.map((part) => ({ name: part, shape: shapes.get(part) })),
      transposed: form === "transposed",
    }));
  });
  const positions = configs.text_encoder.max_position_embeddings;
  return [
    ...components,
    {
      name: "conditioner.embedders.0.transformer.text_model.embeddings.position_ids",
      shape: [1, positions],
      dtype: "I64",
    },
    { name: "conditioner.embedders.1.model.logit_scale", shape: [] },
  ];
}
