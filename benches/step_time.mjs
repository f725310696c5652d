// Time of one step of the base model on the page, from its own worker's reports.

import { cellNames } from "../tests/browser/page.mjs";
import { median } from "./median.mjs";

const STEPS = { few: 1, many: 3 };
/** Images per run of the page, beyond the first, which compiles; a software adapter is slow. */
const IMAGES = { webgpu: 2, cpu: 4 };
/** Slow machines and software adapters included. */
export const TIMEOUT = 20 * 60_000;

/** Notes the time of every image and all measurements that the worker reports, before the page does. */
export function recordReports() {
  const times = [];
  const measurements = [];
  globalThis.imageMilliseconds = times;
  globalThis.measurements = measurements;
  const OriginalWorker = globalThis.Worker;
  globalThis.Worker = class extends OriginalWorker {
    constructor(...options) {
      super(...options);
      this.addEventListener("message", ({ data }) => {
        const image = data?.Event?.Job?.event.Image;
        if (image !== undefined) {
          times.push(image.milliseconds);
        }
        if (data?.Event?.Measured !== undefined) {
          measurements.push(data.Event.Measured);
        }
      });
    }
  };
}

/** Gives the page the file of the adapter that its recipe names, and waits until it is stored. */
export async function bringAdapter(page, path) {
  await page.control("adapter-file").setInputFiles(path);
  await page.page.waitForFunction(
    // Of a file that is stored, the page says what it is.
    () => (document.querySelector('[data-testid="adapter-description"]')?.textContent ?? "") !== "",
    null,
    { timeout: TIMEOUT },
  );
}

/**
 * Milliseconds per image of a run of the page, without the first image, which compiles.
 *
 * @param {object} [adapter] a file beside the models: its path, and its use as links spell it
 */
async function imageTimes(page, device, steps, adapter) {
  const images = IMAGES[device] + 1;
  await page.open({
    prompt: "image of a dog face",
    seed: 1,
    "seed-count": images,
    modes: "base",
    "base-steps": steps,
    guidance: 1,
    device,
    ...(adapter && { adapters: adapter.use }),
  });
  if (adapter) {
    await bringAdapter(page, adapter.path);
  }
  await page.pressGenerate();
  await page.waitForDone(cellNames(["base"], images), TIMEOUT);
  const used = await page.control("device").getAttribute("data-device");
  if (used !== device) {
    throw new Error(`The page runs on ${used} instead of ${device}.`);
  }
  const times = await page.page.evaluate(() => globalThis.imageMilliseconds);
  if (times.length !== images) {
    throw new Error(`The worker reported ${times.length} images instead of ${images}.`);
  }
  return times.slice(1);
}

/**
 * Milliseconds per step of the page: the difference of two runs that differ in the number of steps alone.
 */
export async function stepTime(page, device, adapter) {
  const few = median(await imageTimes(page, device, STEPS.few, adapter));
  const many = median(await imageTimes(page, device, STEPS.many, adapter));
  return (many - few) / (STEPS.many - STEPS.few);
}
