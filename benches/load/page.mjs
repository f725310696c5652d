// A load through the page, as a visitor starts it: all that the benchmark knows of the page.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { LibraryPanel } from "../../tests/browser/library.mjs";
import { DIST } from "../../tests/browser/page.mjs";

/** The pair that is loaded: one whole UNet, both text encoders, a VAE and a LoRA. */
const PAIR = "sdxl-dmd2-lora.json";
/** Its address relative to the page. */
const ADDRESS = `pairs/${PAIR}`;
/** A load takes minutes on a small machine. */
const TIMEOUT = 60 * 60_000;

/** Where the page keeps weights. */
export const RECORDS = { database: "firststep", store: "tensors" };

/**
 * Serves the pair's manifest with its files on the hub instead of where they really are.
 *
 * @param {import("../../tests/browser/server.mjs").StaticServer} server of the page
 * @param {import("../../tests/browser/hub.mjs").Hub} hub
 * @param {string | null} encoding of every tensor that can have it; null: as the manifest says
 * @returns {Promise<{repository: string, path: string, size: number}[]>} the files on the hub
 */
export async function offerPair(server, hub, encoding) {
  const manifest = JSON.parse(await readFile(join(DIST, ADDRESS), "utf8"));
  const files = [];
  for (const component of Object.values(manifest.components)) {
    // An adapter is merged into weights, not computed with: its own precision stays.
    const isModel = component.files.some((file) => file.hub !== undefined);
    if (encoding !== null && isModel && component.adapter_on === undefined) {
      component.encodings = [{ tensors: "*", encoding }];
    }
    for (const file of component.files.filter((file) => file.hub !== undefined)) {
      const { repository } = file.hub;
      const described = await hub.describe(`${repository}/${file.path}`);
      Object.assign(file, described, { url: hub.resolveUrl(repository, file.path) });
      delete file.hub;
      delete file.stored_size;
      files.push({ repository, path: file.path, size: described.size });
    }
  }
  server.fault(`/${ADDRESS}`, { replaceBody: Buffer.from(JSON.stringify(manifest)) });
  return files;
}

/**
 * Starts the load of the offered pair.
 *
 * @param {import("../../tests/browser/page.mjs").FirststepPage} page which is open
 */
export async function startLoad(page) {
  await new LibraryPanel(page).start(ADDRESS);
}

/** Waits until the whole pair is stored. */
export async function waitUntilLoaded(page) {
  const complete = page.page.locator(`[data-address="${ADDRESS}"][data-state="complete"]`);
  const problem = rowOf(page).getByTestId("library-problem");
  await complete.or(problem).first().waitFor({ timeout: TIMEOUT });
  if ((await problem.count()) > 0) {
    throw new Error(`The load failed: ${await problem.first().innerText()}`);
  }
}

function rowOf(page) {
  return page.page.locator(`[data-testid="library-pair"][data-address="${ADDRESS}"]`);
}

/** Runs in the page before its own code: notes when the engine begins and ends reading weights. */
function recordReading() {
  const reading = { began: null, ended: null, bytes: 0 };
  globalThis.reading = reading;
  const OriginalWorker = globalThis.Worker;
  globalThis.Worker = class extends OriginalWorker {
    constructor(...options) {
      super(...options);
      this.addEventListener("message", ({ data }) => {
        const event = data?.Event?.Job?.event;
        if (event === "Started") {
          reading.began ??= performance.now();
        } else if (event?.Loading?.from === "Store") {
          reading.bytes = event.Loading.received;
        } else if (event === "Compiling") {
          reading.ended ??= performance.now();
        }
      });
    }
  };
}

/**
 * Draws with the stored pair in a page opened anew: the time from the job's begin until the engine has
 * read all weights and put them on its device, with the bytes that it read.
 *
 * @returns {Promise<{bytes: number, milliseconds: number}>}
 */
export async function warmRead(page) {
  await page.page.addInitScript(recordReading);
  await page.open({ pair: ADDRESS, modes: "base", "base-steps": 1, "seed-count": 1 });
  await page.pressGenerate();
  const ended = () => globalThis.reading.ended !== null;
  await page.page.waitForFunction(ended, undefined, { polling: 50, timeout: TIMEOUT });
  return page.page.evaluate(() => ({
    bytes: reading.bytes,
    milliseconds: reading.ended - reading.began,
  }));
}
