// What the engine may ask of the GPU: numbers that don't depend on how fast the machine is. A change that
// goes over one fails its test; one that stays well below lowers the number here.

import assert from "node:assert/strict";

const KIB = 1024;
const MB = 1_000_000;

/**
 * The counters that can be limited, by name.
 *
 * @type {Record<string, (counts: import("../../www/gpu_counters.mjs").GpuCounts) => number>}
 */
const COUNTERS = {
  launches: ({ launches }) => launches.total,
  submits: ({ submits }) => submits,
  "pipelines launched": ({ pipelines }) => pipelines.launched,
  "bytes bound": ({ bindings }) => bindings.bytes,
  "largest binding": ({ bindings }) => bindings.largestBytes,
  "largest buffer": ({ buffers }) => buffers.largestBytes,
  "peak of buffers": ({ buffers }) => buffers.peakBytes,
  "largest shader": ({ shaders }) => shaders.largestBytes,
  readbacks: ({ readbacks }) => readbacks,
};

/**
 * Limits by the event of a job up to which they hold, from the event before: "Step" is a pass of a UNet
 * and its preview, "Image" is the decoding of a finished picture.
 *
 * @type {Record<string, Record<string, number>>}
 */
export const LIMITS = {
  "the emoji pair": {
    Step: {
      launches: 396,
      submits: 14,
      "pipelines launched": 58,
      "bytes bound": 98 * MB,
      "largest binding": 5 * MB,
      "largest shader": 80 * KIB,
      readbacks: 2,
    },
    Image: {
      launches: 98,
      submits: 5,
      "pipelines launched": 24,
      "bytes bound": 32 * MB,
      "largest binding": 1 * MB,
      "peak of buffers": 120 * MB,
      readbacks: 1,
    },
  },
};

/**
 * Fails where an event of a job took more of the GPU than its limits allow.
 *
 * @param {import("node:test").TestContext} t gets the largest number of each as a diagnostic
 * @param {Record<string, Record<string, number>>} limits of `LIMITS`
 * @param {import("./engine.mjs").EngineEvent[]} events
 */
export function assertWithin(t, limits, events) {
  const exceeded = [];
  for (const [name, row] of Object.entries(limits)) {
    const found = events.filter((event) => event.name === name);
    assert.ok(found.length > 0, `the job has to have events of the name ${name}`);
    for (const [counter, limit] of Object.entries(row)) {
      const most = Math.max(...found.map(({ counts }) => COUNTERS[counter](counts)));
      const line = `${name}: ${counter} ${grouped(most)} of ${grouped(limit)}`;
      t.diagnostic(line);
      if (most > limit) {
        exceeded.push(line);
      }
    }
  }
  assert.deepEqual(exceeded, [], "the engine may not ask the GPU for more");
}

function grouped(number) {
  return number.toLocaleString("en");
}
