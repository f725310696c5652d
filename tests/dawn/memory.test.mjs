// The memory of the GPU that drawing with the emoji pair takes, against what the pre-flight plans. The plan is
// in planned_memory.json, and `tests/preflight.rs` has it computed.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Engine } from "./engine.mjs";

const TIMEOUT = 30 * 60_000;
const RECIPE = {
  prompt: "a red heart",
  seed: 1,
  "seed-count": 1,
  modes: ["base", "distilled"],
  "base-steps": 2,
  "distilled-steps": 2,
};
// The plan counts values. Beside them the device has norms and biases as f32, the pages of the pools for
// temporary tensors, which are larger than what is in them, and what weights were arranged with; and it
// doesn't have all activations of the plan at once.
const LEAST = 0.95;
const MOST = 1.2;

const planned = JSON.parse(await readFile(new URL("planned_memory.json", import.meta.url), "utf8"));

for (const [precision, withoutFeatures] of [
  ["f16", []],
  ["f32", ["shader-f16"]],
]) {
  test(`the device has as much memory as is planned: ${precision}`, { timeout: TIMEOUT }, async (t) => {
    const engine = await Engine.start({ withoutFeatures });
    try {
      const events = await engine.draw(RECIPE);
      const peaks = events.map(({ counts }) => counts.buffers.peakBytes);
      const ratio = Math.max(...peaks) / planned[precision];
      t.diagnostic(`${Math.max(...peaks)} bytes of ${planned[precision]}: ${ratio.toFixed(3)}`);
      assert.ok(ratio >= LEAST && ratio <= MOST, `${ratio} of what is planned`);
      engine.assertNoProblems();
    } finally {
      await engine.close();
    }
  });
}
