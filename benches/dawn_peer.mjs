// Runs in a process of Node.js that has Dawn's WebGPU as `navigator.gpu`: onnxruntime-web with its own
// default settings. Beside the engine's worker it is the companion of `tests/dawn/engine.mjs`.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import { PeerSession } from "./session.mjs";

/** What the package fetches in a browser. */
const WASM = "ort-wasm-simd-threaded.asyncify";

const folder = dirname(createRequire(import.meta.url).resolve("onnxruntime-web/webgpu"));
copySharedMemory();
const ort = await import(pathToFileURL(join(folder, "ort.webgpu.min.mjs")));
// As this project's wasm: threads need headers that plain static hosts don't send.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { mjs: pathToFileURL(join(folder, `${WASM}.mjs`)).href };
ort.env.wasm.wasmBinary = await readFile(join(folder, `${WASM}.wasm`));

let session;

/**
 * `{load: {model, described}}` opens a model by the paths of its files and answers how far it is from
 * torch; `{measure: count}` answers the milliseconds of so many passes.
 */
export async function answer({ load, measure }) {
  if (load === undefined) {
    return session.measure(measure);
  }
  await session?.close();
  const described = JSON.parse(await readFile(load.described, "utf8"));
  session = await PeerSession.open(ort, await readFile(load.model), described, "webgpu");
  return session.difference;
}

/** The package's memory may be shared between threads, which browsers take and Dawn in Node.js doesn't. */
function copySharedMemory() {
  const { prototype } = globalThis.GPUQueue;
  const { writeBuffer } = prototype;
  prototype.writeBuffer = function (buffer, bufferOffset, data, dataOffset = 0, size = undefined) {
    const bytes = data.buffer ?? data;
    if (!(bytes instanceof SharedArrayBuffer)) {
      return writeBuffer.call(this, buffer, bufferOffset, data, dataOffset, size);
    }
    const element = data.BYTES_PER_ELEMENT ?? 1;
    const start = (data.byteOffset ?? 0) + dataOffset * element;
    const length = size === undefined ? data.byteLength - dataOffset * element : size * element;
    const copy = Uint8Array.from(new Uint8Array(bytes, start, length));
    return writeBuffer.call(this, buffer, bufferOffset, copy);
  };
}
