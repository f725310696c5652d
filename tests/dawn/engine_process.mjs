// The engine's worker of a built page, unchanged, in a process of its own: the process is to the worker
// what a dedicated Web Worker is in a browser, with Dawn as its WebGPU. `engine.mjs` starts it.
//
// It takes `{request}`, which the worker gets, `{losesDevice}`, `{readsChoices}`, which it answers with
// `{choices}`, and `{question}`, which goes to the module `companion` of the options: another engine on the
// same WebGPU. It sends `{message, counts}`: what the worker posts, and what the GPU was asked for since the
// message before. `{problem}` is a complaint on the console, and `{answer}` or `{refusal}` what the companion
// says.

import { format } from "node:util";

import "fake-indexeddb/auto";
import { globals } from "webgpu";

import { prepareGpu } from "../../www/programs.mjs";
import { loadNetwork } from "./loader.mjs";
import { counters, gpu, instantiate } from "./worker_scope.mjs";

const [folder, options] = process.argv.slice(2);
const {
  withoutFeatures,
  limits,
  brokenShader,
  breaksAllShaders,
  description,
  choices,
  network,
  companion,
} = JSON.parse(options);

// As www/start_engine.js does.
globalThis.gpuPrograms = prepareGpu();
/** @type {GPUDevice[]} */
const devices = [];
weaken(gpu);
if (brokenShader !== undefined) {
  breakShader(brokenShader, breaksAllShaders);
}

const { answer } = companion === undefined ? {} : await import(companion);

for (const level of ["error", "warn"]) {
  console[level] = (...words) => process.send({ problem: `console.${level}: ${format(...words)}` });
}
if (network !== undefined) {
  await loadNetwork(folder, network);
}
// A worker's message is a copy of what is posted, which `send` makes as well.
globalThis.postMessage = (message) => {
  process.send({ message, counts: counters.snapshot() });
  counters.reset();
};
process.on("message", async ({ request, losesDevice, readsChoices, question }) => {
  if (losesDevice) {
    devices.forEach((device) => device.destroy());
  } else if (readsChoices) {
    process.send({ choices: await storedChoices() });
  } else if (question !== undefined) {
    answer(question).then(
      (answer) => process.send({ answer }),
      (error) => process.send({ refusal: error.stack ?? String(error) }),
    );
  } else {
    globalThis.onmessage({ data: request });
  }
});
process.on("disconnect", () => process.exit());

if (choices !== undefined) {
  await storeChoices(choices);
}
await instantiate(folder, "worker");

/** Makes the adapters lack features and have lower limits, as many a machine's do, or another name. */
function weaken(gpu) {
  const request = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (...args) => {
    const adapter = await request(...args);
    if (adapter !== null) {
      const features = [...adapter.features].filter((name) => !withoutFeatures.includes(name));
      Object.defineProperty(adapter, "features", { value: new Set(features) });
      const lower = (name) => Math.min(adapter.limits[name], limits[name] ?? Infinity);
      const names = limitNames(adapter.limits);
      Object.defineProperty(adapter, "limits", {
        value: Object.fromEntries(names.map((name) => [name, lower(name)])),
      });
      if (description !== undefined) {
        Object.defineProperty(adapter, "info", { value: { description } });
      }
      const requestDevice = adapter.requestDevice.bind(adapter);
      adapter.requestDevice = async (...args) => {
        devices.push(await requestDevice(...args));
        return devices.at(-1);
      };
    }
    return adapter;
  };
}

/** What the worker has stored of adapters, each with its key. */
async function storedChoices() {
  const database = await adaptersDatabase();
  const store = database.transaction("choices").objectStore("choices");
  const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
  database.close();
  return keys.map((key, index) => ({ key, value: values[index] }));
}

/** Stores what an earlier worker has stored of adapters. */
async function storeChoices(choices) {
  const database = await adaptersDatabase();
  const store = database.transaction("choices", "readwrite").objectStore("choices");
  await Promise.all(choices.map(({ key, value }) => done(store.put(value, key))));
  database.close();
}

function adaptersDatabase() {
  const request = indexedDB.open("firststep-adapters", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("choices");
  return done(request);
}

/** The result of a request of IndexedDB. */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function limitNames(limits) {
  const names = [];
  for (const name in limits) {
    if (typeof limits[name] === "number") {
      names.push(name);
    }
  }
  return names;
}

/** Makes the first shader that has this text in its code one that doesn't compile, or every such one. */
function breakShader(text, breaksAll) {
  const { prototype } = globals.GPUDevice;
  const { createShaderModule } = prototype;
  let isBroken = false;
  prototype.createShaderModule = function (descriptor) {
    const breaks = (breaksAll || !isBroken) && descriptor.code.includes(text);
    isBroken ||= breaks;
    const code = breaks ? `${descriptor.code}\nbroken` : descriptor.code;
    return createShaderModule.call(this, { ...descriptor, code });
  };
}
