// Which tensors a model of Stable Diffusion XL has, by its diffusers or transformers config: their
// names and shapes, in diffusers' names and in those of the original single file (sgm).
//
// The names of the fields are those of the configs. A tensor is { name, shape }.

/** Joins lists of tensors below a common path. */
function under(path, ...lists) {
  return lists.flat().map(({ name, shape }) => ({ name: `${path}.${name}`, shape }));
}

function weightAndBias(path, shape) {
  return [
    { name: `${path}.weight`, shape },
    { name: `${path}.bias`, shape: [shape[0]] },
  ];
}

function linear(path, input, output) {
  return weightAndBias(path, [output, input]);
}

function linearWithoutBias(path, input, output) {
  return [{ name: `${path}.weight`, shape: [output, input] }];
}

function conv(path, input, output, kernel) {
  return weightAndBias(path, [output, input, kernel, kernel]);
}

function norm(path, channels) {
  return weightAndBias(path, [channels]);
}

/** A residual block; `time` is the width of the time embedding, none in the autoencoder. */
function resnet(path, input, output, time) {
  return under(path, [
    ...norm("norm1", input),
    ...conv("conv1", input, output, 3),
    ...(time === undefined ? [] : linear("time_emb_proj", time, output)),
    ...norm("norm2", output),
    ...conv("conv2", output, output, 3),
    ...(input === output ? [] : conv("conv_shortcut", input, output, 1)),
  ]);
}

function attention(path, channels, context) {
  return under(path, [
    ...linearWithoutBias("to_q", channels, channels),
    ...linearWithoutBias("to_k", context, channels),
    ...linearWithoutBias("to_v", context, channels),
    ...linear("to_out.0", channels, channels),
  ]);
}

/** Transformer2DModel with linear projections; the feed-forward network is a GEGLU. */
function transformer(path, channels, context, depth) {
  const blocks = Array.from({ length: depth }, (_, index) =>
    under(`transformer_blocks.${index}`, [
      ...norm("norm1", channels),
      ...attention("attn1", channels, channels),
      ...norm("norm2", channels),
      ...attention("attn2", channels, context),
      ...norm("norm3", channels),
      ...linear("ff.net.0.proj", channels, 8 * channels),
      ...linear("ff.net.2", 4 * channels, channels),
    ]),
  );
  return under(path, [
    ...norm("norm", channels),
    ...linear("proj_in", channels, channels),
    ...blocks.flat(),
    ...linear("proj_out", channels, channels),
  ]);
}

/** UNet2DConditionModel with `text_time`. */
export function unetTensors(config) {
  const channels = config.block_out_channels;
  const depths = config.transformer_layers_per_block;
  const last = channels.length - 1;
  const time = 4 * channels[0];
  const context = config.cross_attention_dim;
  const tensors = [
    ...conv("conv_in", config.in_channels, channels[0], 3),
    ...linear("time_embedding.linear_1", channels[0], time),
    ...linear("time_embedding.linear_2", time, time),
    ...linear("add_embedding.linear_1", config.projection_class_embeddings_input_dim, time),
    ...linear("add_embedding.linear_2", time, time),
  ];
  if (config.time_cond_proj_dim !== null) {
    const width = config.time_cond_proj_dim;
    tensors.push(...linearWithoutBias("time_embedding.cond_proj", width, channels[0]));
  }
  for (const [block, output] of channels.entries()) {
    const path = `down_blocks.${block}`;
    for (let layer = 0; layer < config.layers_per_block; layer += 1) {
      const input = layer === 0 ? channels[Math.max(block - 1, 0)] : output;
      tensors.push(...resnet(`${path}.resnets.${layer}`, input, output, time));
      if (config.down_block_types[block] === "CrossAttnDownBlock2D") {
        const attentions = `${path}.attentions.${layer}`;
        tensors.push(...transformer(attentions, output, context, depths[block]));
      }
    }
    if (block < last) {
      tensors.push(...conv(`${path}.downsamplers.0.conv`, output, output, 3));
    }
  }
  const middle = channels[last];
  tensors.push(
    ...resnet("mid_block.resnets.0", middle, middle, time),
    ...transformer("mid_block.attentions.0", middle, context, depths[last]),
    ...resnet("mid_block.resnets.1", middle, middle, time),
  );
  for (let block = 0; block <= last; block += 1) {
    const path = `up_blocks.${block}`;
    const output = channels[last - block];
    const before = channels[Math.min(last - block + 1, last)];
    // What the down blocks left for the last layer is a block further up.
    const above = channels[Math.max(last - block - 1, 0)];
    for (let layer = 0; layer <= config.layers_per_block; layer += 1) {
      const input = layer === 0 ? before : output;
      const skip = layer === config.layers_per_block ? above : output;
      tensors.push(...resnet(`${path}.resnets.${layer}`, input + skip, output, time));
      if (config.up_block_types[block] === "CrossAttnUpBlock2D") {
        const attentions = `${path}.attentions.${layer}`;
        tensors.push(...transformer(attentions, output, context, depths[last - block]));
      }
    }
    if (block < last) {
      tensors.push(...conv(`${path}.upsamplers.0.conv`, output, output, 3));
    }
  }
  return [
    ...tensors,
    ...norm("conv_norm_out", channels[0]),
    ...conv("conv_out", channels[0], config.out_channels, 3),
  ];
}

/** CLIPTextModel or CLIPTextModelWithProjection. */
export function clipTensors(config) {
  const width = config.hidden_size;
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    under(`encoder.layers.${layer}`, [
      ...["q_proj", "k_proj", "v_proj", "out_proj"].flatMap((name) =>
        linear(`self_attn.${name}`, width, width),
      ),
      ...norm("layer_norm1", width),
      ...linear("mlp.fc1", width, config.intermediate_size),
      ...linear("mlp.fc2", config.intermediate_size, width),
      ...norm("layer_norm2", width),
    ]),
  );
  const projected = config.architectures.includes("CLIPTextModelWithProjection");
  const positions = config.max_position_embeddings;
  return [
    ...under("text_model", [
      { name: "embeddings.token_embedding.weight", shape: [config.vocab_size, width] },
      { name: "embeddings.position_embedding.weight", shape: [positions, width] },
      ...layers.flat(),
      ...norm("final_layer_norm", width),
    ]),
    ...(projected ? linearWithoutBias("text_projection", width, config.projection_dim) : []),
  ];
}

/** The middle of the autoencoder's halves. */
function autoencoderMiddle(channels) {
  return under("mid_block", [
    ...resnet("resnets.0", channels, channels),
    ...norm("attentions.0.group_norm", channels),
    ...["to_q", "to_k", "to_v", "to_out.0"].flatMap((name) =>
      linear(`attentions.0.${name}`, channels, channels),
    ),
    ...resnet("resnets.1", channels, channels),
  ]);
}

/** Resolutions of one half of the autoencoder, in the order of the data. */
function autoencoderBlocks(channels, layers, kind) {
  const last = channels.length - 1;
  return channels.flatMap((output, block) => {
    const path = `${kind}_blocks.${block}`;
    const resnets = Array.from({ length: layers }, (_, layer) => {
      const input = layer === 0 ? channels[Math.max(block - 1, 0)] : output;
      return resnet(`${path}.resnets.${layer}`, input, output);
    });
    const sampler = conv(`${path}.${kind}samplers.0.conv`, output, output, 3);
    return [...resnets.flat(), ...(block < last ? sampler : [])];
  });
}

/** AutoencoderKL. */
export function autoencoderTensors(config) {
  const channels = config.block_out_channels;
  const first = channels[0];
  const deepest = channels[channels.length - 1];
  const latent = config.latent_channels;
  const layers = config.layers_per_block;
  return [
    ...under("encoder", [
      ...conv("conv_in", config.in_channels, first, 3),
      ...autoencoderBlocks(channels, layers, "down"),
      ...autoencoderMiddle(deepest),
      ...norm("conv_norm_out", deepest),
      // Mean and logarithm of the variance.
      ...conv("conv_out", deepest, 2 * latent, 3),
    ]),
    ...conv("quant_conv", 2 * latent, 2 * latent, 1),
    ...conv("post_quant_conv", latent, latent, 1),
    ...under("decoder", [
      ...conv("conv_in", latent, deepest, 3),
      ...autoencoderMiddle(deepest),
      ...autoencoderBlocks(channels.toReversed(), layers + 1, "up"),
      ...norm("conv_norm_out", first),
      ...conv("conv_out", first, config.out_channels, 3),
    ]),
  ];
}

/** A block of the tiny autoencoder: three convolutions around a skip. */
function tinyBlock(path, channels) {
  return [0, 2, 4].flatMap((index) => conv(`${path}.conv.${index}`, channels, channels, 3));
}

/** AutoencoderTiny, which previews use. */
export function tinyAutoencoderTensors(config) {
  const half = (name, layers) => layers.flatMap((make, index) => make(`${name}.layers.${index}`));
  const withoutBias = (path, channels) => [
    { name: `${path}.weight`, shape: [channels, channels, 3, 3] },
  ];
  const [inner] = config.encoder_block_out_channels;
  const latent = config.latent_channels;
  const blocks = (count) => Array(count).fill((path) => tinyBlock(path, inner));
  const encoder = config.num_encoder_blocks.flatMap((count, index) => [
    index === 0
      ? (path) => conv(path, config.in_channels, inner, 3)
      : (path) => withoutBias(path, inner),
    ...blocks(count),
  ]);
  const last = config.num_decoder_blocks.length - 1;
  const withoutTensors = () => [];
  const decoder = config.num_decoder_blocks.flatMap((count, index) => [
    ...blocks(count),
    ...(index < last
      ? [withoutTensors, (path) => withoutBias(path, inner)]
      : [(path) => conv(path, inner, config.out_channels, 3)]),
  ]);
  return [
    ...half("encoder", [...encoder, (path) => conv(path, inner, latent, 3)]),
    // The second layer is the activation.
    ...half("decoder", [(path) => conv(path, latent, inner, 3), withoutTensors, ...decoder]),
  ];
}

/** Layers that distillation LoRAs of SDXL change, as DMD2's has them. */
const LORA_LAYERS = [
  ...["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"],
  ...["conv1", "conv2", "conv_shortcut", "time_emb_proj"],
  ...["downsamplers.0.conv", "upsamplers.0.conv"],
];

/** A LoRA on the UNet with kohya's suffixes over diffusers' names. */
export function loraTensors(config, rank) {
  return unetTensors(config)
    .filter(({ name }) => LORA_LAYERS.some((layer) => name.endsWith(`.${layer}.weight`)))
    .flatMap(({ name, shape: [output, input, ...kernel] }) => {
      const path = name.slice(0, -".weight".length).replaceAll(".", "_");
      return under(`lora_unet_${path}`, [
        { name: "alpha", shape: [] },
        { name: "lora_down.weight", shape: [rank, input, ...kernel] },
        { name: "lora_up.weight", shape: [output, rank, ...kernel.map(() => 1)] },
      ]);
    });
}

/** Applies the first pattern that fits; a name without any stays. */
function rename(name, rules) {
  const rule = rules.find(([pattern]) => pattern.test(name));
  return rule === undefined ? name : name.replace(...rule);
}

const SGM_UNET_PARTS = [
  [/^time_embedding\.linear_1\./, "time_embed.0."],
  [/^time_embedding\.linear_2\./, "time_embed.2."],
  [/^add_embedding\.linear_1\./, "label_emb.0.0."],
  [/^add_embedding\.linear_2\./, "label_emb.0.2."],
  [/^conv_in\./, "input_blocks.0.0."],
  [/^conv_norm_out\./, "out.0."],
  [/^conv_out\./, "out.2."],
  [/^mid_block\.resnets\.0\./, "middle_block.0."],
  [/^mid_block\.attentions\.0\./, "middle_block.1."],
  [/^mid_block\.resnets\.1\./, "middle_block.2."],
];

const SGM_RESNET_PARTS = [
  [/\.norm1\./, ".in_layers.0."],
  [/\.conv1\./, ".in_layers.2."],
  [/\.time_emb_proj\./, ".emb_layers.1."],
  [/\.norm2\./, ".out_layers.0."],
  [/\.conv2\./, ".out_layers.3."],
  [/\.conv_shortcut\./, ".skip_connection."],
];

/** The name of a UNet's tensor in the original code. */
export function sgmUnetName(name, config) {
  const perDownBlock = config.layers_per_block + 1;
  const perUpBlock = config.layers_per_block + 1;
  const place =
    /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)$/;
  const match = place.exec(name);
  if (match === null) {
    const moved = rename(name, SGM_UNET_PARTS);
    return /^middle_block\.[02]\./.test(moved) ? rename(moved, SGM_RESNET_PARTS) : moved;
  }
  const [, direction, blockText, kind, layerText, rest] = match;
  const [block, layer] = [Number(blockText), Number(layerText)];
  if (kind === "downsamplers") {
    return `input_blocks.${perDownBlock * (block + 1)}.0.${rest.replace(/^conv\./, "op.")}`;
  }
  if (kind === "upsamplers") {
    // The last layer of a block carries it, after its attention where there is one.
    const index = config.up_block_types[block] === "CrossAttnUpBlock2D" ? 2 : 1;
    return `output_blocks.${perUpBlock * block + config.layers_per_block}.${index}.${rest}`;
  }
  const index =
    direction === "down" ? perDownBlock * block + layer + 1 : perUpBlock * block + layer;
  const part = kind === "resnets" ? 0 : 1;
  const moved = `${direction === "down" ? "input" : "output"}_blocks.${index}.${part}.${rest}`;
  return kind === "resnets" ? rename(moved, SGM_RESNET_PARTS) : moved;
}

const SGM_AUTOENCODER_PARTS = [
  [/\.conv_norm_out\./, ".norm_out."],
  [/\.down_blocks\.(\d+)\.resnets\.(\d+)\./, ".down.$1.block.$2."],
  [/\.down_blocks\.(\d+)\.downsamplers\.0\./, ".down.$1.downsample."],
  [/\.mid_block\.attentions\.0\.group_norm\./, ".mid.attn_1.norm."],
  [/\.mid_block\.attentions\.0\.to_([qkv])\./, ".mid.attn_1.$1."],
  [/\.mid_block\.attentions\.0\.to_out\.0\./, ".mid.attn_1.proj_out."],
  [/\.mid_block\.resnets\.0\./, ".mid.block_1."],
  [/\.mid_block\.resnets\.1\./, ".mid.block_2."],
];

/** A tensor of the autoencoder in the original, whose attention is of 1 × 1 convolutions. */
function sgmAutoencoderTensor({ name, shape }, config) {
  const last = config.block_out_channels.length - 1;
  const up = /\.up_blocks\.(\d+)\.(resnets\.|upsamplers\.0\.)/.exec(name);
  let moved = rename(name, SGM_AUTOENCODER_PARTS);
  if (up !== null) {
    // The original counts the decoder's blocks from the largest resolution.
    const part = up[2] === "resnets." ? "block." : "upsample.";
    moved = name.replace(up[0], `.up.${last - Number(up[1])}.${part}`);
  }
  const attends = /\.mid\.attn_1\.(q|k|v|proj_out)\.weight$/.test(moved);
  return {
    name: moved.replace(".conv_shortcut.", ".nin_shortcut."),
    shape: attends ? [...shape, 1, 1] : shape,
  };
}

const OPEN_CLIP_PARTS = [
  [/^text_model\.embeddings\.token_embedding\.weight$/, "token_embedding.weight"],
  [/^text_model\.embeddings\.position_embedding\.weight$/, "positional_embedding"],
  [/^text_model\.final_layer_norm\./, "ln_final."],
  [/^text_projection\.weight$/, "text_projection"],
];

const OPEN_CLIP_LAYER_PARTS = [
  [/\.layer_norm([12])\./, ".ln_$1."],
  [/\.mlp\.fc1\./, ".mlp.c_fc."],
  [/\.mlp\.fc2\./, ".mlp.c_proj."],
  [/\.self_attn\.out_proj\./, ".attn.out_proj."],
];

/**
 * The second text encoder in open_clip's form: queries, keys and values are rows of one matrix, and
 * the projection is transposed.
 */
function openClipTensors(tensors) {
  const fused = new Map();
  const result = [];
  for (const tensor of tensors) {
    const { name, shape } = tensor;
    const layer = name.replace(/^text_model\.encoder\.layers\./, "transformer.resblocks.");
    const projection = /^(.*)\.self_attn\.[qkv]_proj\.(weight|bias)$/.exec(layer);
    if (projection === null) {
      const moved =
        layer === name ? rename(name, OPEN_CLIP_PARTS) : rename(layer, OPEN_CLIP_LAYER_PARTS);
      const transposed = moved === "text_projection";
      const turned = transposed ? shape.toReversed() : shape;
      result.push({ name: moved, shape: turned, parts: [tensor], transposed });
      continue;
    }
    const moved = `${projection[1]}.attn.in_proj_${projection[2]}`;
    if (!fused.has(moved)) {
      fused.set(moved, []);
    }
    fused.get(moved).push(tensor);
  }
  for (const [name, parts] of fused) {
    // q, k, v is also the order of the letters in which they are asked for.
    const ordered = ["q_proj", "k_proj", "v_proj"].map((projection) =>
      parts.find((part) => part.name.includes(`.${projection}.`)),
    );
    const [rows, ...rest] = ordered[0].shape;
    result.push({ name, shape: [3 * rows, ...rest], parts: ordered });
  }
  return result;
}

/**
 * A whole model as one file in the original's names. Every tensor says of which tensors in
 * diffusers' names it is made (`parts`, one after the other), and of which component they are.
 * The constants that such files hold have no parts: `position_ids` counts up from 0.
 *
 * @param {{unet: object, text_encoder: object, text_encoder_2: object, vae: object}} configs
 */
export function singleFileTensors(configs) {
  const of = (component, prefix, tensors) =>
    tensors.map((tensor) => ({ ...tensor, component, name: prefix + tensor.name }));
  const first = "conditioner.embedders.0.transformer.";
  const positions = configs.text_encoder.max_position_embeddings;
  return [
    ...of(
      "unet",
      "model.diffusion_model.",
      unetTensors(configs.unet).map((tensor) => ({
        name: sgmUnetName(tensor.name, configs.unet),
        shape: tensor.shape,
        parts: [tensor],
      })),
    ),
    ...of(
      "vae",
      "first_stage_model.",
      autoencoderTensors(configs.vae).map((tensor) => ({
        ...sgmAutoencoderTensor(tensor, configs.vae),
        parts: [tensor],
      })),
    ),
    ...of(
      "text_encoder",
      first,
      clipTensors(configs.text_encoder).map((tensor) => ({ ...tensor, parts: [tensor] })),
    ),
    { name: `${first}text_model.embeddings.position_ids`, shape: [1, positions], dtype: "I64" },
    ...of(
      "text_encoder_2",
      "conditioner.embedders.1.model.",
      openClipTensors(clipTensors(configs.text_encoder_2)),
    ),
    { name: "conditioner.embedders.1.model.logit_scale", shape: [] },
  ];
}
