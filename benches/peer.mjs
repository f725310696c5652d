// Runs in the browser: onnxruntime-web on the exported UNet, with its own default settings.

/** Per execution provider, the build of the package that is made for it. */
const BUILDS = { webgpu: "ort.webgpu.bundle.min.mjs", wasm: "ort.wasm.bundle.min.mjs" };

/** Of the largest output: the two engines add up in different orders. */
const TOLERANCE = 1e-3;

let session;
let feeds;
let expected;

/** Loads the model and checks one pass against the values of torch. */
async function load(provider) {
  const ort = await import(`./onnxruntime/${BUILDS[provider]}`);
  ort.env.wasm.wasmPaths = new URL("onnxruntime/", location.href).href;
  // As this project's wasm: threads need headers that plain static hosts don't send.
  ort.env.wasm.numThreads = 1;
  session = await ort.InferenceSession.create("unet.onnx", { executionProviders: [provider] });

  const described = await (await fetch("unet.json")).json();
  feeds = Object.fromEntries(
    Object.entries(described.inputs).map(([name, { shape, values }]) => [
      name,
      new ort.Tensor("float32", Float32Array.from(values), shape),
    ]),
  );
  expected = described.noise;
  const { noise } = await session.run(feeds);
  const largest = Math.max(...expected.map(Math.abs));
  const difference = Math.max(...expected.map((value, i) => Math.abs(value - noise.data[i])));
  if (!(difference <= TOLERANCE * largest)) {
    throw new Error(`onnxruntime-web is ${difference / largest} away from torch`);
  }
  return difference / largest;
}

/** Milliseconds of each of `count` passes, with the output read back, as a sampler needs it. */
async function measure(count) {
  const times = [];
  for (let i = 0; i < count; i += 1) {
    const start = performance.now();
    const { noise } = await session.run(feeds);
    await noise.getData();
    times.push(performance.now() - start);
  }
  return times;
}

globalThis.peer = { load, measure };
