// A graphics processor that fails while a grid is drawn: the page says so, starts another worker, which
// uses less of it, and goes on from the last steps; the pictures are those of an undisturbed run.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, cellNames, eventually, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

// Shaders compile on the software adapter: slow on two cores, and anew for each worker.
const TIMEOUT = 15 * 60_000;
const LOADER = "/start_engine.js";
const SEEDS = 2;
const MODES = ["distilled", "hybrid"];
const RECIPE = {
  prompt: "a red heart",
  seed: 1,
  "seed-count": SEEDS,
  modes: MODES.join(","),
  "distilled-steps": 3,
  device: "webgpu",
};
const CELLS = cellNames(MODES, SEEDS);
// Of 255. The same kernels in the same order.
const TOLERANCE = 0.1;
// What the browser itself says of what the tests do to a device.
const COMPLAINTS = [/device is lost|was destroyed|Device lost|Out of memory|panicked|unreachable|wgpu/i];

// Before the engine's own code, in each worker. Workers share nothing but the browser's stores, where a
// counter would have to wait; the first worker is known by a cache that it makes.
const COUNT_WORKERS = `
const isFirstWorker = !(await caches.has("failures-test"));
await caches.open("failures-test");
const devices = [];
const requestDevice = GPUAdapter.prototype.requestDevice;
GPUAdapter.prototype.requestDevice = async function (...words) {
  devices.push(await requestDevice.apply(this, words));
  return devices.at(-1);
};
`;

// The device is lost once so many steps have been taken.
const LOSE_DEVICE = `
const post = self.postMessage;
let steps = 0;
self.postMessage = (message, ...rest) => {
  post.call(self, message, ...rest);
  if (message?.Event?.Job?.event.Step !== undefined) {
    steps += 1;
    if (isFirstWorker && steps === 4) {
      devices.forEach((device) => device.destroy());
    }
  }
};
`;

// A card that promises more memory than it has: cells are drawn together until a buffer is refused. As a
// browser does, the buffer is there, is of no use, and the program hears of it.
const REFUSE_BUFFERS = `
Object.defineProperty(GPUAdapter.prototype, "info", {
  value: { description: "Mali, a graphics card of Arm", vendor: "arm", isFallbackAdapter: false },
});
const post = self.postMessage;
let isDrawing = false;
self.postMessage = (message, ...rest) => {
  isDrawing ||= message?.Event?.Job?.event.CellStarted !== undefined;
  post.call(self, message, ...rest);
};
let left = 20;
const createBuffer = GPUDevice.prototype.createBuffer;
GPUDevice.prototype.createBuffer = function (descriptor) {
  const buffer = createBuffer.call(this, descriptor);
  if (isFirstWorker && isDrawing && left > 0) {
    left -= 1;
    if (left === 0) {
      const error = new GPUOutOfMemoryError("the test refuses a buffer");
      queueMicrotask(() =>
        this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error, cancelable: true })),
      );
    }
  }
  return buffer;
};
`;

/** The pictures of a grid, and the sentences that the page has shown as notices. */
async function drawn(change, run = async () => {}) {
  const loader = change === "" ? undefined : change + (await readFile(join(DIST, LOADER), "utf8"));
  const prepare = ({ server, browser }) => {
    if (loader !== undefined) {
      server.fault(LOADER, { replaceBody: Buffer.from(loader) });
      COMPLAINTS.forEach((pattern) => browser.expectProblem(pattern));
    }
  };
  let images;
  await withPage({ parameters: RECIPE, prepare, isFirstVisit: true }, async ({ page }) => {
    await page.pressGenerate();
    await run(page);
    await page.waitForDone(CELLS, TIMEOUT);
    images = [];
    for (const mode of MODES) {
      for (let column = 0; column < SEEDS; column += 1) {
        images.push((await page.image(mode, column)).rgba);
      }
    }
  });
  return images;
}

/** Waits for a sentence that tells of the failure and of what is done about it. */
async function waitForSentence(page, pattern) {
  await eventually(async () => {
    const text = await page.page.locator("main, body").first().innerText();
    assert.match(text, pattern);
  }, TIMEOUT);
}

let undisturbed;
async function expected() {
  return (undisturbed ??= await drawn(""));
}

function assertSame(t, images, others) {
  const errors = images.map((rgba, index) => rootMeanSquareError(rgba, others[index]));
  t.diagnostic(`RMSE ${errors.map((error) => error.toFixed(3)).join(", ")} of 255`);
  assert.ok(Math.max(...errors) <= TOLERANCE, `the pictures differ: ${errors.join(", ")}`);
}

test("a device that is lost in the middle of a grid is said, and the grid goes on", { timeout: TIMEOUT }, async (t) => {
  const images = await drawn(COUNT_WORKERS + LOSE_DEVICE, (page) =>
    waitForSentence(page, /The graphics processor failed.*goes on from the last steps/),
  );
  assertSame(t, images, await expected());
});

test("a buffer that is refused has the next worker draw fewer images at a time", { timeout: TIMEOUT }, async (t) => {
  const images = await drawn(COUNT_WORKERS + REFUSE_BUFFERS, (page) =>
    waitForSentence(page, /The graphics processor failed.*goes on from the last steps, (with fewer images|one image) at a time/),
  );
  assertSame(t, images, await expected());
});
