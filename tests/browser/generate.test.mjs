// Whole pictures against diffusers running the same plan.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hasAdapter } from "./browser.mjs";
import { cellNames } from "./page.mjs";
import { MODES, comparePicture, entries, grids, webGpuEntries } from "./pictures.mjs";
import { withPage } from "./with_page.mjs";

// A machine with two cores and another build beside it.
const TIMEOUT = { cpu: 10 * 60_000, webgpu: 30 * 60_000 };

async function compare(t, page, device, grid) {
  const { prompt, options, firstSeed, seedCount, modes } = grid;
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
  for (const entry of grid.entries) {
    const image = await page.image(entry.mode, entry.seed - firstSeed);
    await comparePicture(t, entry, image, device);
  }
}

test("the reference pictures cover three prompts, two seeds and every mode", () => {
  const full = grids(entries).filter((grid) =>
    MODES.every((mode) => grid.entries.filter((entry) => entry.mode === mode).length >= 2),
  );
  assert.ok(new Set(full.map(({ prompt }) => prompt)).size >= 3, "on the CPU device");
  assert.ok(
    grids(webGpuEntries).some(({ modes }) => modes.length === MODES.length),
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
      const options = JSON.stringify(grid.options);
      await t.test(`"${grid.prompt}" with ${options}`, (t) => compare(t, page, device, grid));
    }
  });
}

test("pictures on the CPU device", { timeout: 3 * TIMEOUT.cpu }, (t) =>
  compareAll(t, "cpu", grids(entries)),
);

test("pictures on WebGPU", { timeout: TIMEOUT.webgpu + 60_000 }, (t) =>
  compareAll(t, "webgpu", grids(webGpuEntries)),
);
