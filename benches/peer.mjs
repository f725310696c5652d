// Runs in the browser: onnxruntime-web on the exported UNet, with its own default settings.

import { PeerSession } from "./session.mjs";

/** Per execution provider, the build of the package that is made for it. */
const BUILDS = { webgpu: "ort.webgpu.bundle.min.mjs", wasm: "ort.wasm.bundle.min.mjs" };

let session;

/** Loads the model and checks one pass against the values of torch. */
async function load(provider) {
  const ort = await import(`./onnxruntime/${BUILDS[provider]}`);
  ort.env.wasm.wasmPaths = new URL("onnxruntime/", location.href).href;
  // As this project's wasm: threads need headers that plain static hosts don't send.
  ort.env.wasm.numThreads = 1;
  const described = await (await fetch("unet.json")).json();
  session = await PeerSession.open(ort, "unet.onnx", described, provider);
  return session.difference;
}

globalThis.peer = { load, measure: (count) => session.measure(count) };
