// How long a visitor waits for the first picture where nothing is compiled yet: builds of the page in
// headless Chromium, in new profiles, taking turns.
//
// Usage: node benches/first_picture.mjs [--rounds 3] [--parameter=value …] FOLDER…
//   FOLDER     a built page; two or more are compared with the first
//   parameter  of the recipe, as a link names it
//
// Each round is two visits to each page. At the first, the weights come from a server on this machine. At
// the second they are in the browser's store, and what the browser keeps of compiled programs was deleted.

import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Browser } from "../tests/browser/browser.mjs";
import { cellNames, FirststepPage } from "../tests/browser/page.mjs";
import { StaticServer } from "../tests/browser/server.mjs";
import { median } from "./median.mjs";

const TIMEOUT = 20 * 60_000;
/** Folders of a profile with compiled programs. */
const PROGRAMS = ["DawnWebGPUCache", "DawnGraphiteCache", "DawnCache", "GPUCache", "Code Cache"];
const VISITS = ["first visit", "stored weights"];

const { values, positionals: folders } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, modes: { type: "string", default: "distilled" } },
  allowPositionals: true,
});

/** Notes when the worker's events come, counted from the page's beginning. */
function recordEvents() {
  const events = [];
  globalThis.engineEvents = events;
  const OriginalWorker = globalThis.Worker;
  globalThis.Worker = class extends OriginalWorker {
    constructor(...options) {
      super(...options);
      this.addEventListener("message", ({ data }) => {
        const event = data?.Event?.Job?.event ?? data?.Event;
        if (event !== undefined) {
          const name = typeof event === "string" ? event : Object.keys(event)[0];
          events.push([name, performance.now()]);
        }
      });
    }
  };
}

/** Draws one picture; seconds from the order to the events. */
async function visit(server, userDataDirectory) {
  const browser = await Browser.launch({ userDataDirectory });
  try {
    const tab = await browser.newPage();
    await tab.addInitScript(recordEvents);
    const page = new FirststepPage(tab, server.url);
    const modes = values.modes.split(",");
    await page.open({ prompt: "a red heart", seed: 1, "seed-count": 1, modes: values.modes, device: "webgpu" });
    const opened = await tab.evaluate(() => performance.now());
    await page.pressGenerate();
    await page.waitForDone(cellNames(modes, 1), TIMEOUT);
    const events = await tab.evaluate(() => globalThis.engineEvents);
    const first = (name) => events.find(([own]) => own === name)?.[1];
    const last = (name) => events.findLast(([own]) => own === name)?.[1];
    const since = (time) => (time === undefined ? Number.NaN : (time - opened) / 1000);
    return {
      "weights read": since(last("Loading")),
      "programs ready": since(last("Preparing") ?? last("Compiling")),
      "first step": since(first("Step")),
      "first image": since(first("Image")),
      "first image from the page's beginning": first("Image") / 1000,
    };
  } finally {
    await browser.close();
  }
}

/** Times of all rounds by page and visit. @type {Map<string, Record<string, number[]>>} */
const times = new Map();
for (let round = 0; round < Number(values.rounds); round += 1) {
  // Whoever comes first finds other things in the machine's caches.
  const turns = round % 2 === 0 ? folders : folders.toReversed();
  for (const folder of turns) {
    const server = await StaticServer.start(folder, { "/service_worker.js": { replaceBody: Buffer.from("") } });
    const profile = await mkdtemp(join(tmpdir(), "firststep-bench-"));
    try {
      for (const name of VISITS) {
        const measured = await visit(server, profile);
        const load = loadavg()[0].toFixed(1);
        const line = Object.entries(measured).map(([what, time]) => `${what} ${time.toFixed(2)} s`);
        console.log(`round ${round + 1}, ${folder}, ${name}, load ${load}: ${line.join(", ")}`);
        const key = `${name}: ${folder}`;
        const all = times.get(key) ?? {};
        times.set(key, all);
        for (const [what, time] of Object.entries(measured)) {
          (all[what] ??= []).push(time);
        }
        const caches = PROGRAMS.flatMap((cache) => [join(profile, cache), join(profile, "Default", cache)]);
        await Promise.all(caches.map((cache) => rm(cache, { recursive: true, force: true })));
      }
    } finally {
      await rm(profile, { recursive: true, force: true });
      await server.close();
    }
  }
}
for (const [key, all] of times) {
  const medians = Object.entries(all).map(([what, some]) => `${what} ${median(some).toFixed(2)} s`);
  console.log(`median of ${values.rounds}, ${key}: ${medians.join(", ")}`);
}
