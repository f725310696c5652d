// Pairs whose weights stay as they are stored on the device, as those of a full-size model do, draw
// what expanded weights draw. The manifest's `expanded_limit` makes the bundled pairs do so.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { PNG } from "pngjs";

import { hasAdapter } from "./browser.mjs";
import { DIST, PAIR_PATH, cellNames, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

// Of 255: that of the pictures of expanded weights.
const TOLERANCE = 3;
// Shaders compile on the software adapter: slow on two cores.
const TIMEOUT = 20 * 60_000;
const REFERENCE = new URL("reference/", import.meta.url);
// Bytes of all buffers that a run with the bundled pair may make on the device until its first step is
// done; a later step makes those anew that burn has given back. As f32, the weights alone take 115 MB;
// held, and with all that is computed, it is 54 MB, or 53 MB with an adapter.
const MAXIMUM_BYTES = 80_000_000;
const LOADER = "/start_engine.js";
// Before the engine's own code: says how many bytes of buffers there have been by the first step.
const COUNT_BYTES = `{
  const create = GPUDevice.prototype.createBuffer;
  let bytes = 0;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    bytes += descriptor.size;
    return create.call(this, descriptor);
  };
  const post = self.postMessage;
  let isCounted = false;
  self.postMessage = (message, ...rest) => {
    if (!isCounted && message?.Event?.Job?.event.Step !== undefined) {
      isCounted = true;
      console.debug("bytes of buffers: " + bytes);
    }
    post.call(self, message, ...rest);
  };
}
`;

const { pictures } = JSON.parse(await readFile(new URL("manifest.json", REFERENCE), "utf8"));

/** Draws a reference picture's recipe on WebGPU with held weights, and compares. */
async function compare(t, file, manifestName) {
  const { prompt, seed, mode, options } = pictures.find((entry) => entry.file === file);
  const path = `${PAIR_PATH}${manifestName}`;
  const manifest = JSON.parse(await readFile(join(DIST, path), "utf8"));
  manifest.expanded_limit = 0;
  const loader = COUNT_BYTES + (await readFile(join(DIST, LOADER), "utf8"));
  const prepare = ({ server }) => {
    server.fault(path, { replaceBody: Buffer.from(JSON.stringify(manifest)) });
    server.fault(LOADER, { replaceBody: Buffer.from(loader) });
  };
  const parameters = {
    ...options,
    prompt,
    seed,
    "seed-count": 1,
    modes: mode,
    device: "webgpu",
  };
  await withPage({ parameters, prepare, isFirstVisit: true }, async ({ page }) => {
    assert.ok(await hasAdapter(page.page), "Chromium has to hand out a WebGPU adapter");
    let bytes = 0;
    page.page.on("console", (message) => {
      const count = /^bytes of buffers: (\d+)$/.exec(message.text());
      bytes = count === null ? bytes : Number(count[1]);
    });
    await page.pressGenerate();
    await page.waitForDone(cellNames([mode], 1), TIMEOUT);
    const expected = PNG.sync.read(await readFile(new URL(file, REFERENCE)));
    const image = await page.image(mode, 0);
    const error = rootMeanSquareError(image.rgba, expected.data);
    t.diagnostic(`${file}: RMSE ${error.toFixed(3)} of 255, ${bytes} bytes of buffers`);
    assert.ok(error <= TOLERANCE, `RMSE ${error.toFixed(3)} is over ${TOLERANCE}`);
    assert.ok(bytes > 0 && bytes < MAXIMUM_BYTES, `${bytes} bytes of buffers`);
    // The bundled pairs are packs of the format before: held, their convolutions are converted.
    assert.match(await page.statusText(), /order of an earlier version/);
  });
}

test("held weights draw the picture of expanded ones", { timeout: TIMEOUT + 60_000 }, (t) =>
  compare(t, "webgpu-distilled.png", "manifest.json"),
);

test(
  "an adapter beside held weights draws the picture of the merged model",
  { timeout: TIMEOUT + 60_000 },
  (t) => compare(t, "lcm-distilled.png", "lcm.json"),
);
