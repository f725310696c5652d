// Writes the files of Stable Diffusion XL with random values: real names, shapes and sizes, in the
// folders that tests/browser/hub.mjs serves. Nobody can tell a cat from them, but whatever loads,
// quantizes, stores and runs the real files meets the same work here. The layout is what the native
// program `pack` prints: build it first (cargo build --bin pack), or set PACK to its path.
//
// Usage: node tools/sdxl/full_size.mjs FOLDER [--scale full|small] [--only PART]…
//   --scale small   the same tensors at tiny widths: a few megabytes
//   --only PART     files whose name (owner/name/path) contains PART; may be given several times
//
// The same seed gives the same bytes on every machine. Files that are there in full are kept. Their
// sizes and SHA-256 are noted in FOLDER/hashes.json.

import { createHash } from "node:crypto";
import { mkdir, open, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gunzipSync } from "node:zlib";

import { CONFIGS, SCHEDULER, TOKENIZER, TOKENIZER_2 } from "./configs.mjs";
import { loraTensors, singleFileTensors, tensorsOf } from "./layout.mjs";

/** Name of the list of sizes and SHA-256. */
export const INDEX_NAME = "hashes.json";

const BASE = "stabilityai/stable-diffusion-xl-base-1.0";
const TINY_DECODER = "madebyollin/taesdxl";
/** Repositories whose safetensors files don't say what wrote them. */
const WITHOUT_METADATA = ["tianweiy/DMD2", "ByteDance/SDXL-Lightning"];
const TOKENIZER_FILES = fileURLToPath(new URL("../../public/pairs/emoji/tokenizer/", import.meta.url));

/**
 * Random values that all tensors share, each from another place on. The length is a prime, so that
 * no row length divides it and rows differ.
 */
const TABLE_LENGTH = 262_139;
/** Bytes that are collected before they are hashed and written. */
const WRITE_SIZE = 8 * 1024 * 1024;
const BYTES = { F16: 2, F32: 4, I64: 8 };

const LORA_RANK = { full: 64, small: 4 };
const LORA_ALPHA = 8;

/**
 * The files with weights. `seed` distinguishes models of one layout; components of one seed have
 * the same values wherever they stand.
 */
function weightFiles(scale) {
  const configs = CONFIGS[scale];
  const unet = tensorsOf(configs.unet);
  const guided = tensorsOf({ ...configs.unet, time_cond_proj_dim: scale === "full" ? 256 : 32 });
  const lora = loraTensors(configs.unet, LORA_RANK[scale]);
  const vae = tensorsOf(configs.vae);
  const file = (path, component, tensors, seed = 0, dtype = "F16") => ({
    path,
    hasMetadata: !WITHOUT_METADATA.some((repository) => path.startsWith(`${repository}/`)),
    tensors: tensors.map((tensor) => plainTensor(tensor, component, seed, dtype)),
  });
  const unetName = "diffusion_pytorch_model.fp16.safetensors";
  const encoders = ["text_encoder", "text_encoder_2"].map((component) =>
    file(`${BASE}/${component}/model.fp16.safetensors`, component, tensorsOf(configs[component])),
  );
  return [
    file(`${BASE}/unet/${unetName}`, "unet", unet),
    ...encoders,
    file(`${BASE}/vae/${unetName}`, "vae", vae),
    {
      path: `${BASE}/sd_xl_base_1.0.safetensors`,
      hasMetadata: true,
      tensors: singleFileTensors(configs).map((tensor) => sgmTensor(tensor)),
    },
    file("madebyollin/sdxl-vae-fp16-fix/diffusion_pytorch_model.safetensors", "vae", vae, 1, "F32"),
    file(
      `${TINY_DECODER}/diffusion_pytorch_model.safetensors`,
      "tiny_decoder",
      tensorsOf(configs.tiny_decoder),
      0,
      "F32",
    ),
    file("tianweiy/DMD2/dmd2_sdxl_4step_unet_fp16.safetensors", "unet", unet, 1),
    file("tianweiy/DMD2/dmd2_sdxl_4step_lora_fp16.safetensors", "lora", lora, 1),
    file("ByteDance/SDXL-Lightning/sdxl_lightning_4step_unet.safetensors", "unet", unet, 2),
    file("ByteDance/SDXL-Lightning/sdxl_lightning_4step_lora.safetensors", "lora", lora, 2),
    file(`latent-consistency/lcm-sdxl/${unetName}`, "unet", guided, 3),
    file("latent-consistency/lcm-lora-sdxl/pytorch_lora_weights.safetensors", "lora", lora, 3),
    file(`stabilityai/sdxl-turbo/unet/${unetName}`, "unet", unet, 4),
  ];
}

/** The small files of the base model's repository, by path: texts. */
async function smallFiles(scale) {
  const json = (value) => `${JSON.stringify(value, null, 2)}\n`;
  const files = new Map([
    [`${BASE}/scheduler/scheduler_config.json`, json(SCHEDULER)],
    [`${BASE}/tokenizer/tokenizer_config.json`, json(TOKENIZER)],
    [`${BASE}/tokenizer_2/tokenizer_config.json`, json(TOKENIZER_2)],
  ]);
  for (const [component, config] of Object.entries(CONFIGS[scale])) {
    const folder = component === "tiny_decoder" ? TINY_DECODER : `${BASE}/${component}`;
    files.set(`${folder}/config.json`, json(config));
  }
  for (const name of ["vocab.json", "merges.txt"]) {
    const text = gunzipSync(await readFile(join(TOKENIZER_FILES, `${name}.gzip`)));
    files.set(`${BASE}/tokenizer/${name}`, text);
    files.set(`${BASE}/tokenizer_2/${name}`, text);
  }
  return files;
}

function elementCount(shape) {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Mean and deviation of a tensor's values. Matrices and convolutions keep the variance of their
 * input, so a pass through the whole network gives finite values near 1 that depend on the input.
 */
function distribution(name, shape) {
  if (/\balpha$/.test(name)) {
    return [LORA_ALPHA, 0];
  }
  if (/norm\d?\.weight$|group_norm\.weight$|conv_norm_out\.weight$/.test(name)) {
    return [1, 0.1];
  }
  if (name.endsWith(".bias")) {
    return [0, 0.05];
  }
  if (/_embedding\.weight$/.test(name)) {
    return [0, 0.5];
  }
  const inputs = elementCount(shape.slice(1));
  // A fresh adapter's output is small beside its layer's.
  const gain = name.endsWith(".lora_up.weight") ? 0.2 : 1;
  return [0, gain / Math.sqrt(inputs)];
}

/** A tensor that is written as it is described. */
function plainTensor({ name, shape }, component, seed, dtype) {
  return { name, shape, dtype, parts: [{ key: `${seed}/${component}/${name}`, name, shape }] };
}

/** A tensor of the single file, which holds what the files of the components with seed 0 hold. */
function sgmTensor({ name, shape, dtype = "F16", component, parts = [], transposed = false }) {
  const keyed = parts.map((part) => ({ ...part, key: `0/${component}/${part.name}` }));
  return { name, shape, dtype, parts: keyed, transposed };
}

/** A hash of a text (FNV-1a), for what needs no more than to differ. */
function hash32(text) {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash;
}

/** Uniform random numbers from 0 to below 1 (mulberry32). */
function* uniform(state) {
  for (;;) {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    yield ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Normally distributed values. */
function normalTable() {
  const table = new Float64Array(TABLE_LENGTH);
  const random = uniform(hash32("firststep"));
  for (let index = 0; index < TABLE_LENGTH; index += 1) {
    // The sum of twelve is normal enough, and of plain operations that are the same everywhere.
    let sum = -6;
    for (let term = 0; term < 12; term += 1) {
      sum += random.next().value;
    }
    table[index] = sum;
  }
  return table;
}

const SINGLE = new Float32Array(1);
const SINGLE_BITS = new Uint32Array(SINGLE.buffer);

/** The bits of the half precision number next to a value; the even one of two. */
function halfBits(value) {
  SINGLE[0] = value;
  const bits = SINGLE_BITS[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = Math.abs(SINGLE[0]);
  if (magnitude >= 65520) {
    return sign | 0x7c00;
  }
  // Steps between neighbours are powers of two: 2^-24 below the smallest normal number.
  const exponent = Math.max(((bits >>> 23) & 0xff) - 127, -14);
  const steps = magnitude / 2 ** (exponent - 10);
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  // A step too many carries into the exponent as it should.
  return sign | ((exponent + 14) * 1024 + rounded);
}

/** The table's values by distribution and dtype, as bytes. */
class Values {
  #table = normalTable();
  #scaled = new Map();

  /** @returns {Buffer} TABLE_LENGTH values */
  #bytes(mean, deviation, dtype) {
    const key = `${mean} ${deviation} ${dtype}`;
    if (!this.#scaled.has(key)) {
      const array =
        dtype === "F16" ? new Uint16Array(TABLE_LENGTH) : new Float32Array(TABLE_LENGTH);
      for (const [index, value] of this.#table.entries()) {
        const scaled = mean + deviation * value;
        array[index] = dtype === "F16" ? halfBits(scaled) : scaled;
      }
      this.#scaled.set(key, Buffer.from(array.buffer));
    }
    return this.#scaled.get(key);
  }

  /** The bytes of a tensor, in pieces that are only valid until the next. */
  *of(tensor) {
    if (tensor.dtype === "I64") {
      const count = elementCount(tensor.shape);
      yield Buffer.from(BigInt64Array.from({ length: count }, (_, index) => BigInt(index)).buffer);
    } else if (tensor.parts.length === 0) {
      // The logarithm of open_clip's temperature: ln 100.
      yield this.#bytes(Math.log(100), 0, tensor.dtype).subarray(0, BYTES[tensor.dtype]);
    } else if (tensor.transposed) {
      yield this.#transposed(tensor);
    } else {
      for (const part of tensor.parts) {
        yield* this.#part(part, tensor.dtype);
      }
    }
  }

  *#part({ key, name, shape }, dtype) {
    const bytes = this.#bytes(...distribution(name, shape), dtype);
    const width = BYTES[dtype];
    let left = elementCount(shape);
    for (let round = 0; left > 0; round += 1) {
      const start = hash32(`${key} ${round}`) % TABLE_LENGTH;
      const count = Math.min(left, TABLE_LENGTH - start);
      yield bytes.subarray(start * width, (start + count) * width);
      left -= count;
    }
  }

  #transposed({ parts: [part], dtype }) {
    const source = Buffer.concat([...this.#part(part, dtype)]);
    const [rows, columns] = part.shape;
    const target = Buffer.alloc(source.length);
    const width = BYTES[dtype];
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        const from = (row * columns + column) * width;
        source.copy(target, (column * rows + row) * width, from, from + width);
      }
    }
    return target;
  }
}

/** A safetensors file as that library writes it: wide values first, then by name. */
function layOut(tensors, hasMetadata) {
  const ordered = tensors.toSorted(
    (a, b) => BYTES[b.dtype] - BYTES[a.dtype] || (a.name < b.name ? -1 : 1),
  );
  const header = hasMetadata ? { __metadata__: { format: "pt" } } : {};
  let end = 0;
  for (const { name, dtype, shape } of ordered) {
    const start = end;
    end += elementCount(shape) * BYTES[dtype];
    header[name] = { dtype, shape, data_offsets: [start, end] };
  }
  const text = JSON.stringify(header);
  // Padded so that the values are aligned.
  const json = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return { ordered, head: Buffer.concat([length, json]), size: 8 + json.length + end };
}

/** Writes a file in large pieces; its SHA-256. */
async function writeTensors(file, { ordered, head }, values) {
  await mkdir(dirname(file), { recursive: true });
  const hash = createHash("sha256");
  const partial = `${file}.part`;
  const handle = await open(partial, "w");
  const buffer = Buffer.alloc(WRITE_SIZE);
  let filled = 0;
  const flush = async () => {
    const piece = buffer.subarray(0, filled);
    hash.update(piece);
    await handle.writeFile(piece);
    filled = 0;
  };
  const add = async (bytes) => {
    for (let position = 0; position < bytes.length;) {
      const count = bytes.copy(buffer, filled, position);
      position += count;
      filled += count;
      if (filled === WRITE_SIZE) {
        await flush();
      }
    }
  };
  try {
    await add(head);
    for (const tensor of ordered) {
      for (const piece of values.of(tensor)) {
        await add(piece);
      }
    }
    await flush();
  } finally {
    await handle.close();
  }
  await rename(partial, file);
  return hash.digest("hex");
}

async function writeIndex(folder, index) {
  const file = join(folder, INDEX_NAME);
  await writeFile(`${file}.part`, `${JSON.stringify(index, null, 2)}\n`);
  await rename(`${file}.part`, file);
}

/**
 * Writes what is not there yet of the files.
 *
 * @param {string} folder
 * @param {object} options
 * @param {"full" | "small"} [options.scale]
 * @param {(path: string) => boolean} [options.wants] which of the files with weights
 * @param {(text: string) => void} [options.report] told of each file that is written
 * @returns {Promise<Record<string, {size: number, sha256: string}>>} what the folder's list holds
 */
export async function writeModels(
  folder,
  { scale = "full", wants = () => true, report = () => {} } = {},
) {
  await mkdir(folder, { recursive: true });
  const listed = await readFile(join(folder, INDEX_NAME), "utf8").catch(() => "{}");
  const index = JSON.parse(listed);
  for (const [path, text] of await smallFiles(scale)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  const values = new Values();
  const wanted = weightFiles(scale).filter(({ path }) => wants(path));
  for (const { path, tensors, hasMetadata } of wanted) {
    const layout = layOut(tensors, hasMetadata);
    const file = join(folder, path);
    const status = await stat(file).catch(() => null);
    if (status?.size === layout.size && index[path]?.size === layout.size) {
      continue;
    }
    report(`${path}: ${tensors.length} tensors, ${layout.size} bytes`);
    index[path] = { size: layout.size, sha256: await writeTensors(file, layout, values) };
    await writeIndex(folder, index);
  }
  return index;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      scale: { type: "string", default: "full" },
      only: { type: "string", multiple: true, default: [] },
    },
  });
  const [folder] = positionals;
  if (folder === undefined || !(values.scale in CONFIGS)) {
    console.error("Usage: node tools/sdxl/full_size.mjs FOLDER [--scale full|small] [--only PART]…");
    process.exit(2);
  }
  const wants = (path) =>
    values.only.length === 0 || values.only.some((part) => path.includes(part));
  await writeModels(folder, { scale: values.scale, wants, report: console.error });
}
