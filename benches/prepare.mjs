// What the benchmark needs besides the page: onnxruntime-web and the exported UNet.

import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { mkdir, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BENCHES = fileURLToPath(new URL(".", import.meta.url));
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const OUTPUT = join(ROOT, "target", "bench");

function run(command, args, folder) {
  const { status, error } = spawnSync(command, args, { cwd: folder, stdio: "inherit" });
  if (status !== 0) {
    throw new Error(`"${command} ${args.join(" ")}" failed: ${error?.message ?? `exit ${status}`}`);
  }
}

/** A Python with the packages of the reference scripts; PYTHON names one that has them. */
export function python() {
  if (process.env.PYTHON !== undefined) {
    return process.env.PYTHON;
  }
  const environment = join(OUTPUT, "python");
  const interpreter = join(environment, "bin", "python");
  const complete = join(environment, "complete");
  if (!existsSync(complete)) {
    run("python3", ["-m", "venv", environment], ROOT);
    run(interpreter, ["-m", "pip", "install", "-r", "tools/reference/requirements.txt"], ROOT);
    run("touch", [complete], ROOT);
  }
  return interpreter;
}

/** Whether a model is newer than what it is made from. */
function isCurrent(model, ...sources) {
  const newest = Math.max(...sources.map((source) => statSync(join(ROOT, source)).mtimeMs));
  return existsSync(model) && statSync(model).mtimeMs >= newest;
}

/**
 * The base UNet of the emoji pair as an ONNX model, with weights and activations in f32 or in f16.
 *
 * @param {"f32" | "f16"} precision
 * @returns {{model: string, described: string}} paths of the model, and of its inputs and output
 */
export function exportUnet(precision) {
  const name = precision === "f16" ? "unet_f16" : "unet";
  const model = join(OUTPUT, `${name}.onnx`);
  const script = "tools/reference/onnx_export.py";
  if (!isCurrent(model, "public/pairs/emoji/manifest.json", script)) {
    run(python(), [script, model, ...(precision === "f16" ? ["--half"] : [])], ROOT);
  }
  return { model, described: join(OUTPUT, `${name}.json`) };
}

/**
 * Blocks of SDXL's UNet with synthetic weights as ONNX models.
 *
 * @returns {string} the folder with `{block}_{weights}_{activations}.onnx` and the same with `.json`
 */
export function exportBlocks() {
  const folder = join(OUTPUT, "blocks");
  const script = "tools/reference/onnx_blocks.py";
  if (!isCurrent(join(folder, "complete"), script)) {
    run(python(), [script, folder], ROOT);
  }
  return folder;
}

/** Installs the packages that this project is compared with, unless they are there. */
export function installPackages() {
  const installed = join(BENCHES, "node_modules", ".package-lock.json");
  const pinned = join(BENCHES, "package-lock.json");
  if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(pinned).mtimeMs) {
    run("npm", ["ci", "--no-audit", "--no-fund"], BENCHES);
  }
}

/** A folder to serve: the peer's page, its package and the exported model. */
export async function preparePeer() {
  const site = join(OUTPUT, "site");
  await mkdir(site, { recursive: true });
  installPackages();
  const runtime = join(BENCHES, "node_modules", "onnxruntime-web", "dist");
  const { model, described } = exportUnet("f32");
  const links = {
    "index.html": join(BENCHES, "peer.html"),
    "peer.mjs": join(BENCHES, "peer.mjs"),
    "session.mjs": join(BENCHES, "session.mjs"),
    onnxruntime: runtime,
    "unet.onnx": model,
    "unet.json": described,
  };
  for (const [name, target] of Object.entries(links)) {
    await rm(join(site, name), { force: true });
    await symlink(target, join(site, name));
  }
  return site;
}
