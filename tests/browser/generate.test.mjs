// Whole pictures against diffusers running the same plan. tools/reference writes the pictures and
// reference/manifest.json, whose `pictures` are a list of
//   {prompt, seed, mode, device, options, file}
// where `options` are further parameters of the page's address and `device` is "cpu" for a picture
// that the CPU device has to match, and "webgpu" for one that both devices have to match.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { PNG } from "pngjs";

import { hasAdapter } from "./browser.mjs";
import { cellNames, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

// Of 255. Both sides compute in f32, in another order: what is left is rounding to whole values
// and, at hard edges, the sampler's own amplification of it over the steps.
const TOLERANCE = 3;

const MODES = ["base", "distilled", "hybrid", "skip"];
const REFERENCE = new URL("reference/", import.meta.url);
// A machine with two cores and another build beside it.
const TIMEOUT = { cpu: 10 * 60_000, webgpu: 30 * 60_000 };

const { pictures } = JSON.parse(await readFile(new URL("manifest.json", REFERENCE), "utf8"));
// Entries with a step are Diffusion Targets, which the native tests compare.
const entries = pictures.filter((entry) => entry.step === undefined);

/** Entries that one grid can draw: they differ in nothing but seed and mode. */
function grids(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const key = JSON.stringify([entry.prompt, entry.options]);
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()];
}

async function compare(t, page, device, grid) {
  const { prompt, options } = grid[0];
  const firstSeed = Math.min(...grid.map((entry) => entry.seed));
  const seedCount = Math.max(...grid.map((entry) => entry.seed)) - firstSeed + 1;
  const modes = MODES.filter((mode) => grid.some((entry) => entry.mode === mode));
  await page.open({
    ...options,
    prompt,
    seed: firstSeed,
    "seed-count": seedCount,
    modes: modes.join(","),
    device,
  });
  await page.pressGenerate();
  await page.waitForDone(cellNames(modes, seedCount), TIMEOUT[device]);
  assert.equal(await page.control("device").getAttribute("data-device"), device);
  for (const entry of grid) {
    const name = `${entry.mode}, seed ${entry.seed}`;
    const expected = PNG.sync.read(await readFile(new URL(entry.file, REFERENCE)));
    const image = await page.image(entry.mode, entry.seed - firstSeed);
    assert.equal(image.seed, entry.seed, `${name}: data-seed`);
    assert.equal(image.width, expected.width, `${name}: width of the canvas`);
    assert.equal(image.height, expected.height, `${name}: height of the canvas`);
    const error = rootMeanSquareError(image.rgba, expected.data);
    t.diagnostic(`${device}, ${name}: RMSE ${error.toFixed(3)} of 255`);
    assert.ok(error <= TOLERANCE, `${name}: RMSE ${error.toFixed(3)} is over ${TOLERANCE}`);
  }
}

test("the reference pictures cover three prompts, two seeds and every mode", () => {
  const full = grids(entries).filter((grid) =>
    MODES.every((mode) => grid.filter((entry) => entry.mode === mode).length >= 2),
  );
  assert.ok(new Set(full.map(([entry]) => entry.prompt)).size >= 3, "on the CPU device");
  const onWebGpu = grids(entries.filter((entry) => entry.device === "webgpu"));
  assert.ok(
    onWebGpu.some((grid) => MODES.every((mode) => grid.some((entry) => entry.mode === mode))),
    "every mode of one prompt on WebGPU",
  );
});

/** Draws grid after grid in one browser, which has the weights from the first on. */
async function compareAll(t, device, all) {
  await withPage({ parameters: { device } }, async ({ page }) => {
    if (device === "webgpu") {
      assert.ok(await hasAdapter(page.page), "Chromium has to hand out a WebGPU adapter");
    }
    for (const grid of all) {
      const options = JSON.stringify(grid[0].options);
      await t.test(`"${grid[0].prompt}" with ${options}`, (t) => compare(t, page, device, grid));
    }
  });
}

test("pictures on the CPU device", { timeout: 3 * TIMEOUT.cpu }, (t) =>
  compareAll(t, "cpu", grids(entries)),
);

test("pictures on WebGPU", { timeout: TIMEOUT.webgpu + 60_000 }, (t) =>
  compareAll(t, "webgpu", grids(entries.filter((entry) => entry.device === "webgpu"))),
);
