// What the engine makes of a GPU that fails: a worker that ends and says why, so that the page can start
// another one, and never a picture of what was left in memory.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
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

/** The complaints about a shader that was broken, of the GPU and of its library. */
const BROKEN = /unexpected token\s+broken|unresolved value 'broken'|expected '.*'|Invalid ShaderModule|WGSL compilation failed/;

test("a shader that doesn't compile fails the job with a sentence", { timeout: TIMEOUT }, async () => {
  const names = await drawUntilFailure(
    // With half precision the first shader would be that of its trial, at the start.
    { withoutFeatures: ["shader-f16"], brokenShader: "fn attention" },
    () => {},
    /The browser could not compile a program for the graphics processor/,
  );
  assert.ok(!names.includes("Step"), "no step is taken without it");
});

test("a shader that arranges weights and doesn't compile fails the job with a sentence", { timeout: TIMEOUT }, async () => {
  const names = await drawUntilFailure(
    { withoutFeatures: ["shader-f16"], brokenShader: "fn copy_kernel" },
    () => {},
    /The browser could not compile a program for the graphics processor/,
  );
  assert.ok(!names.includes("Step"), "no step is taken without it");
});

test("half precision whose trial doesn't compile is left out", { timeout: TIMEOUT }, async () => {
  const engine = await Engine.start({ brokenShader: "enable f16" });
  try {
    const { kind, notice } = engine.device;
    assert.equal(kind, "WebGpu");
    assert.match(notice, /can't compile a program with half-precision numbers .* twice the memory/);
    const events = await engine.draw(RECIPE);
    assert.ok(events.some(({ name }) => name === "Image"));
    const halves = events.map(({ counts }) => counts.shaders.withF16);
    assert.equal(Math.max(...halves), 0, "pictures are drawn in single precision");
    assert.deepEqual(await engine.choices(), [], "the trial has come to an end");
    engine.assertNoProblems(BROKEN);
  } finally {
    await engine.close();
  }
});

test("a graphics card that compiles nothing is not used", { timeout: TIMEOUT }, async () => {
  await assert.rejects(
    Engine.start({ brokenShader: "@compute", breaksAllShaders: true }),
    /The worker stopped: The browser could not compile a program for the graphics processor/,
  );
  const engine = await Engine.start({
    device: "automatic",
    description: "a graphics card",
    brokenShader: "@compute",
    breaksAllShaders: true,
  });
  try {
    assert.equal(engine.device.kind, "Cpu");
    assert.match(engine.device.notice, /could not compile a program .* run on the CPU/);
  } finally {
    await engine.close();
  }
});

test("a trial that was left undone is not made at once", { timeout: TIMEOUT }, async () => {
  const cargo = await readFile(new URL("../../Cargo.toml", import.meta.url), "utf8");
  const [, page] = cargo.match(/^version = "(.*)"$/m);
  const description = "llvmpipe that fails";
  const key = `${description}, half precision`;
  const trials = [
    { stored: { page, begun: 1, was_skipped: false }, isTried: false, begun: 1 },
    { stored: { page, begun: 1, was_skipped: true }, isTried: true },
    { stored: { page, begun: 2, was_skipped: true }, isTried: false, begun: 2 },
    { stored: { page: "0.0.1", begun: 2, was_skipped: false }, isTried: true },
  ];
  for (const { stored, isTried, begun } of trials) {
    const engine = await Engine.start({ description, choices: [{ key, value: stored }] });
    try {
      const notice = engine.device.notice ?? "";
      assert.equal(/did not get through its trial/.test(notice), !isTried, notice);
      const [left] = await engine.choices();
      assert.equal(left?.value.begun, begun, "one that has ended is forgotten");
      engine.assertNoProblems();
    } finally {
      await engine.close();
    }
  }
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
