// The memory of the GPU that a network takes to measure an experiment's pictures.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "./engine.mjs";

const TIMEOUT = 10 * 60_000;
const NETWORK = "perceptual/emoji/manifest.json";
const SIDE = 64;
/**
 * A batch of eight pictures and a part of one, twice, as the pools of temporary tensors grow with the second
 * network on the device; and many batches and a part of one.
 */
const NUMBERS = [12, 12, 100];

/** A picture of noise that is another for each seed. */
function picture(seed) {
  const rgba = new Uint8Array(SIDE * SIDE * 4);
  let state = seed + 1;
  for (let index = 0; index < rgba.length; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    rgba[index] = index % 4 === 3 ? 255 : state >>> 24;
  }
  return { width: SIDE, height: SIDE, rgba };
}

test("to measure many pictures takes no more memory than to measure a few", { timeout: TIMEOUT }, async (t) => {
  const engine = await Engine.start({ network: NETWORK });
  try {
    const experiment = (images) => ({
      version: 1,
      study: "diversity",
      pair: "pairs/emoji/manifest.json",
      prompts: ["a red heart"],
      images,
      settings: { ...engine.pair.recipe, modes: ["distilled"] },
    });
    const manifest_url = engine.address(NETWORK);
    const peaks = [];
    for (const [id, images] of NUMBERS.entries()) {
      await engine.task({ Experiment: { Begin: { id, experiment: JSON.stringify(experiment(images)) } } });
      for (let image = 0; image < images; image += 1) {
        const record = { prompt: 0, condition: 0, image, seed: image, milliseconds: 1, steps: [] };
        const kept = { id, record, picture: picture(image), latent: new Uint8Array(), targets: new Uint8Array() };
        await engine.task({ Experiment: { Picture: kept } });
      }
      const events = await engine.task({ Experiment: { MeasureByNetwork: { id, manifest_url } } });
      const report = events.find(({ name, value }) => name === "Experiment" && "Report" in value).value.Report;
      assert.ok(report.tables.some(({ key }) => key === "diversity-emoji"), "the network has measured");
      peaks.push(Math.max(...events.map(({ counts }) => counts.buffers.peakBytes)));
    }
    const [, few, many] = peaks;
    t.diagnostic(`${NUMBERS.join(", ")} pictures: ${peaks.join(", ")} bytes`);
    assert.ok(few > 0 && many <= few, `${many} bytes are more than ${few}`);
    engine.assertNoProblems();
  } finally {
    await engine.close();
  }
});
