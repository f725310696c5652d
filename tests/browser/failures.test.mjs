// A graphics processor that fails in the middle of the work: a sentence, another worker that asks less of
// it, and a job that goes on by itself or ends.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, QUICK, cellNames, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

// Shaders compile on the software adapter for each worker: slow on two cores.
const TIMEOUT = 20 * 60_000;
const LOADER = "/start_engine.js";
const SEEDS = 3;
const GRID = { ...QUICK, device: "webgpu", "seed-count": SEEDS, "distilled-steps": 3 };
const CELLS = cellNames(["distilled"], SEEDS);
// Of 255: a batch sums in another order than a single cell.
const TOLERANCE = 1;

// Before the engine's own code. The adapter says that it is a graphics card, so that cells are drawn in
// batches; workers are counted, as a fault may be one of the first worker's alone; and each step that a
// worker takes is reported.
const PRELUDE = `
const request = GPU.prototype.requestAdapter;
GPU.prototype.requestAdapter = async function (...args) {
  const adapter = await request.apply(this, args);
  Object.defineProperty(adapter, "info", { value: { description: "A graphics card" } });
  return adapter;
};
const devices = [];
const requestDevice = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...args) {
  const device = await requestDevice.apply(this, args);
  devices.push(device);
  return device;
};
const workers = await caches.open("workers");
const worker = (await workers.keys()).length + 1;
await workers.put("/worker-" + worker, new Response(""));
let batch = 0;
let isDrawing = false;
const post = self.postMessage;
self.postMessage = (message, ...rest) => {
  post.call(self, message, ...rest);
  batch = message?.Event?.Allowance?.batch ?? batch;
  isDrawing ||= message?.Event?.Job?.event.CellStarted !== undefined;
  const step = message?.Event?.Job?.event.Step;
  if (step !== undefined) {
    console.debug("step: " + JSON.stringify([worker, batch, step.cell.column, step.step]));
    stepped(step);
  }
};
`;

/** Loses the device of the first worker with its first step: a cell of the batch is shown, others aren't. */
const LOSE_DEVICE = `
function stepped() {
  if (worker === 1) {
    devices.forEach((device) => device.destroy());
  }
}
`;

/**
 * Refuses buffers as a browser does where memory is short: the buffer is an invalid one, and the error
 * comes later. Which ones is what \`isRefused\` says, a function's code.
 */
const refuseBuffers = (isRefused) => `
function stepped() {}
const isRefused = ${isRefused};
const create = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (descriptor) {
  if (!isRefused(descriptor.size)) {
    return create.call(this, descriptor);
  }
  setTimeout(() => {
    const error = new GPUOutOfMemoryError("no memory is left for this buffer");
    this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error, cancelable: true }));
  });
  this.pushErrorScope("validation");
  const invalid = create.call(this, { ...descriptor, usage: 0 });
  this.popErrorScope();
  return invalid;
};
`;

/** Opens the page with a faulty worker; \`steps\` are those that workers report. */
async function withFaultyWorker(fault, run) {
  const loader = PRELUDE + fault + (await readFile(join(DIST, LOADER), "utf8"));
  const prepare = ({ server, browser }) => {
    server.fault(LOADER, { replaceBody: Buffer.from(loader) });
    browser.expectProblem(/wgpu|WebGPU|GPU|device|[Uu]nreachable|panicked|no memory is left/);
  };
  await withPage({ parameters: GRID, prepare, isFirstVisit: true }, async (tools) => {
    const steps = [];
    tools.page.page.on("console", (message) => {
      const step = /^step: (.*)$/.exec(message.text());
      if (step !== null) {
        const [worker, batch, column, number] = JSON.parse(step[1]);
        steps.push({ worker, batch, column, number });
      }
    });
    await run({ ...tools, steps });
  });
}

const images = async (page) =>
  Promise.all(CELLS.map(async (_, column) => (await page.image("distilled", column)).rgba));

/** Draws the grid anew, in a worker that works, and compares. */
async function assertAsDrawnAnew(page, drawn) {
  await page.pressGenerate();
  await page.page.waitForFunction(
    (count) =>
      document.querySelectorAll('[data-testid^="cell-"][data-state="done"]').length < count,
    SEEDS,
  );
  await page.waitForDone(CELLS, TIMEOUT);
  for (const [column, image] of (await images(page)).entries()) {
    const error = rootMeanSquareError(drawn[column], image);
    assert.ok(error <= TOLERANCE, `column ${column}: RMSE ${error.toFixed(3)}`);
  }
}

test("a device that is lost in the middle of a grid", { timeout: TIMEOUT }, async (t) => {
  await withFaultyWorker(LOSE_DEVICE, async ({ page, steps }) => {
    await page.pressGenerate();
    await page.waitForStatus(
      [/The graphics processor failed .*goes on from the last steps, with fewer images at a time\./],
      TIMEOUT,
    );
    await page.waitForDone(CELLS, TIMEOUT);
    await page.waitForStatus([/^Done: 3 images/], 30_000);
    t.diagnostic(JSON.stringify(steps));
    const [first, ...rest] = steps;
    const { batch } = first;
    assert.ok(batch > 1, "cells are drawn together");
    assert.deepEqual(first, { worker: 1, batch, column: 0, number: 1 });
    const expected = rest.filter(({ worker }) => worker === 2);
    assert.ok(expected.every((step) => step.batch === batch / 2));
    const of = (column) =>
      expected.filter((step) => step.column === column).map(({ number }) => number);
    assert.deepEqual(of(0), [2, 3], "the step that was shown is not taken again");
    assert.deepEqual([of(1), of(2)], [[1, 2, 3], [1, 2, 3]]);
    await assertAsDrawnAnew(page, await images(page));
  });
});

test("a device that refuses the buffers of large batches", { timeout: TIMEOUT }, async (t) => {
  // The first buffer after the weights that is made for a batch of more than one.
  const fault = refuseBuffers("(size) => batch > 1 && size > 4_000_000 && isDrawing");
  await withFaultyWorker(fault, async ({ page, steps }) => {
    await page.pressGenerate();
    await page.waitForDone(CELLS, TIMEOUT);
    t.diagnostic(JSON.stringify(steps));
    assert.deepEqual([...new Set(steps.map(({ batch }) => batch))], [1]);
    await page.waitForStatus([/The graphics processor failed .*one image at a time\./], 30_000);
  });
});

test("a device that refuses every buffer ends with a sentence", { timeout: TIMEOUT }, async () => {
  await withFaultyWorker(refuseBuffers("() => true"), async ({ page }) => {
    await page.pressGenerate();
    await page.waitForStatus([/The graphics processor failed again .*device=cpu/], TIMEOUT);
    const workers = () => page.page.evaluate(async () =>
      (await (await caches.open("workers")).keys()).length);
    const count = await workers();
    assert.ok(count >= 2 && count <= 4, `${count} workers`);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assert.equal(await workers(), count, "no further one is started");
  });
});
