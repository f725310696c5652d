// What the engine makes of a GPU that fails: a worker that ends and says why, so that the page can start
// another one, and never a picture of what was left in memory.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "./engine.mjs";

const TIMEOUT = 10 * 60_000;
const RECIPE = { prompt: "a red heart", seed: 1, "seed-count": 1, modes: ["distilled"] };

/** Draws with an engine that has to fail, and gives the names of the events up to there. */
async function drawUntilFailure(options, listen, reason) {
  const engine = await Engine.start(options);
  const names = [];
  try {
    await assert.rejects(
      engine.draw(RECIPE, (event) => {
        names.push(event.name);
        listen(engine, event);
      }),
      reason,
    );
    await assert.rejects(engine.draw(RECIPE), reason, "a worker that has ended stays so");
  } finally {
    await engine.close();
  }
  return names;
}

test("a shader that doesn't compile ends the worker", { timeout: TIMEOUT }, async () => {
  const names = await drawUntilFailure(
    // With half precision the first shader would be that of its trial, at the start.
    { withoutFeatures: ["shader-f16"], brokenShader: "@compute" },
    () => {},
    /Invalid ShaderModule/,
  );
  assert.ok(!names.includes("Image"), "no picture is drawn without it");
});

test("a device that is lost ends the worker", { timeout: TIMEOUT }, async () => {
  const names = await drawUntilFailure(
    {},
    (engine, { name }) => {
      if (name === "Step") {
        engine.loseDevice();
      }
    },
    /The worker stopped: The device failed while computing/,
  );
  assert.ok(!names.includes("Image"), "no picture is drawn without it");
});
