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
function python() {
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

/** Whether the model is still that of the pair as it is packed now. */
function isCurrent(model) {
  const manifest = join(ROOT, "public", "pairs", "emoji", "manifest.json");
  return existsSync(model) && statSync(model).mtimeMs >= statSync(manifest).mtimeMs;
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
  const model = join(OUTPUT, "unet.onnx");
  if (!isCurrent(model)) {
    run(python(), ["tools/reference/onnx_export.py", model], ROOT);
  }
  const links = {
    "index.html": join(BENCHES, "peer.html"),
    "peer.mjs": join(BENCHES, "peer.mjs"),
    onnxruntime: runtime,
    "unet.onnx": model,
    "unet.json": join(OUTPUT, "unet.json"),
  };
  for (const [name, target] of Object.entries(links)) {
    await rm(join(site, name), { force: true });
    await symlink(target, join(site, name));
  }
  return site;
}
