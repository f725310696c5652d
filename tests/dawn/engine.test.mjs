// Whole pictures of the engine on Dawn, against the references of the browser tests, and what they took
// of the GPU.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { MODES, comparePicture, grids, webGpuEntries } from "../browser/pictures.mjs";
import { Engine } from "./engine.mjs";
import { LIMITS, assertWithin } from "./limits.mjs";

// lavapipe takes up to a minute for each large kernel that is not in its cache.
const TIMEOUT = 60 * 60_000;

const LEAST = { limits: { maxComputeWorkgroupStorageSize: 16_384 } };
const WITHOUT_HALF = { withoutFeatures: ["shader-f16", "subgroups"] };

const CARD = { description: "a graphics card" };
const SHARED = { matmul: "Shared", convolution: "Shared", attention: "Shared", norm: "Shared" };

/**
 * The adapters that a visitor may have. One that says what it is computes on the CPU, and gets the kernels
 * for that; as "a graphics card" on which they were measured to be faster it gets the others. Those take
 * minutes to compile on a CPU: they draw with both models, once, in half precision. The tests of the kernels
 * have them in single precision.
 */
const ADAPTERS = [
  { name: "the CPU's adapter, f16", options: {} },
  {
    name: "the CPU's adapter, f32, the least workgroup memory",
    options: { ...WITHOUT_HALF, ...LEAST },
  },
  { name: "a graphics card, f16", options: CARD, forms: SHARED },
];

for (const { name, options, forms } of ADAPTERS) {
  describe(name, { timeout: TIMEOUT }, () => {
    /** @type {Engine} */
    let engine;
    before(async () => {
      engine = await (forms ? Engine.startWithForms(options, forms) : Engine.start(options));
    });
    after(() => engine?.close());

    test("the engine computes on WebGPU", () => {
      assert.equal(engine.device.kind, "WebGpu", engine.device.notice);
    });

    const entries = webGpuEntries.filter(({ mode }) => !forms || mode === "hybrid");
    for (const grid of grids(entries)) {
      test(`the pictures of "${grid.prompt}" are as their references`, async (t) => {
        const events = await draw(engine, grid);
        const images = events.filter((event) => event.name === "Image");
        assert.equal(images.length, grid.modes.length * grid.seedCount, "a picture for each cell");
        for (const entry of grid.entries) {
          const { value } = images.find(
            ({ value: { cell } }) =>
              grid.modes[cell.row] === entry.mode && grid.firstSeed + cell.column === entry.seed,
          );
          await comparePicture(t, entry, { seed: entry.seed, ...value.image }, name);
        }
        assertWithin(t, LIMITS["the emoji pair"], events);
        engine.assertNoProblems();
      });
    }
  });
}

test("the references have every mode", () => {
  assert.deepEqual([...new Set(webGpuEntries.map(({ mode }) => mode))].sort(), [...MODES].sort());
});

/** Draws a grid of `grids`. */
function draw(engine, { prompt, options, firstSeed, seedCount, modes }) {
  return engine.draw({ ...options, prompt, seed: firstSeed, "seed-count": seedCount, modes });
}
