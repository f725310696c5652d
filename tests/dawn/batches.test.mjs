// Cells of a row that go through a UNet together, as they do on a graphics card: the pictures are those of
// one cell after the other, and take fewer launches.

import assert from "node:assert/strict";
import { test } from "node:test";

import { rootMeanSquareError } from "../browser/page.mjs";
import { Engine } from "./engine.mjs";

// lavapipe takes up to a minute for each large kernel that is not in its cache.
const TIMEOUT = 20 * 60_000;
/** One that doesn't say that it computes on the CPU: that would get one cell at a time. */
const CARD = { description: "a graphics card" };
/** The kernels that are quick where "the card" is a CPU. */
const FORMS = {
  matmul: "Registers",
  convolution: "Registers",
  attention: "Registers",
  norm: "Registers",
};
const ONE_BY_ONE = { batch: 1, largest_map: 128 << 20 };
// Of 255. Sums have the same order whatever the batch.
const TOLERANCE = 0.01;
const CELLS = 5;
/** A guided row has two samples for each cell, and both of a cell go together. */
const RECIPE = {
  prompt: "a red heart",
  "negative-prompt": "blue background",
  seed: 1,
  "seed-count": CELLS,
  modes: ["base", "hybrid"],
  "base-steps": 2,
  guidance: 3,
  "distilled-steps": 2,
};

async function draw(options) {
  const engine = await Engine.start({ ...CARD, ...options });
  try {
    const events = await engine.draw(RECIPE);
    engine.assertNoProblems();
    const launches = events.reduce((sum, { counts }) => sum + counts.launches.total, 0);
    const images = events
      .filter(({ name }) => name === "Image")
      .map(({ value: { cell, image } }) => ({ name: `row ${cell.row}, column ${cell.column}`, image }))
      .sort((one, other) => one.name.localeCompare(other.name));
    return { launches, images };
  } finally {
    await engine.close();
  }
}

test("cells that are drawn together are those drawn alone", { timeout: TIMEOUT }, async (t) => {
  const choices = await Engine.choicesOfForms(CARD, FORMS);
  const together = await draw({ choices });
  const alone = await draw({ choices, atMost: ONE_BY_ONE });
  assert.equal(alone.images.length, RECIPE.modes.length * CELLS);
  assert.deepEqual(
    together.images.map(({ name }) => name),
    alone.images.map(({ name }) => name),
  );
  let largest = 0;
  for (const [index, { name: cell, image }] of together.images.entries()) {
    const error = rootMeanSquareError(image.rgba, alone.images[index].image.rgba);
    largest = Math.max(largest, error);
    assert.ok(error <= TOLERANCE, `${cell}: RMSE ${error.toFixed(3)} of 255`);
  }
  t.diagnostic(`RMSE at most ${largest.toFixed(4)} of 255`);
  t.diagnostic(`${together.launches} launches together, ${alone.launches} alone`);
  // 20 passes of a UNet become 8; previews and images are decoded one by one as ever.
  assert.ok(together.launches < alone.launches * 0.7, "the passes have to be for several cells");
});
