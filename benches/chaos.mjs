// Chaos: at random moments of runs the store is cleared, the engine's worker ended, the network taken, the
// quota filled, the page reloaded or left and come back to. The page must never be stuck for longer than the
// bound, lose nothing that is kept, and say nothing but sentences.
//
// Usage: node benches/chaos.mjs [times] [seed]    DIST names the folder with the built page.
//
// The page's own seconds are hurried, so that its bounds on silence pass in moments.

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

import { Browser } from "../tests/browser/browser.mjs";
import { DIST, FirststepPage, QUICK } from "../tests/browser/page.mjs";
import { StaticServer } from "../tests/browser/server.mjs";

const TIMES = Number(process.argv[2] ?? 300);
const SEED = Number(process.argv[3] ?? Date.now() % 1_000_000);
/** Real milliseconds within which the page has to draw again after any mishap. */
const BOUND = 90_000;
const RECIPE = { ...QUICK, modes: "distilled,skip", "seed-count": 2, "distilled-steps": 4 };
/** What a sentence for a visitor has none of. */
const RAW = /undefined|\bNaN\b|\[object|DOMException|InvalidState|AbortError|\bError:|panicked|unreachable|null/;

/** A generator of numbers in [0, 1) that the seed determines (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Before the page's own program: hands the script its workers and its seconds. */
function prepare() {
  const workers = [];
  globalThis.chaosWorkers = workers;
  const OriginalWorker = globalThis.Worker;
  globalThis.Worker = class extends OriginalWorker {
    constructor(address, options) {
      super(address, options);
      if (String(address).includes("engine")) {
        workers.push(this);
      }
    }
  };
  const original = globalThis.setInterval;
  globalThis.setInterval = (act, milliseconds, ...rest) =>
    original(
      (...given) => {
        const times = milliseconds === 1000 ? (globalThis.secondsAtOnce ?? 1) : 1;
        globalThis.secondsAtOnce = 1;
        for (let second = 0; second < times; second += 1) {
          act(...given);
        }
      },
      milliseconds,
      ...rest,
    );
}

const next = random(SEED);
const pick = (list) => list[Math.floor(next() * list.length)];
const server = await StaticServer.start(DIST);
const browser = await Browser.launch({});
const page = new FirststepPage(await browser.newPage(), server.url);
const session = await page.page.context().newCDPSession(page.page);
const { origin } = new URL(server.url);
await page.page.addInitScript(prepare);
page.page.on("dialog", (dialog) => dialog.accept());

const ready = () =>
  page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: BOUND });

const MISHAPS = {
  clear: () => session.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" }),
  clearAll: () => session.send("Storage.clearDataForOrigin", { origin, storageTypes: "all" }),
  endWorker: () => page.page.evaluate(() => globalThis.chaosWorkers.at(-1)?.terminate()),
  offline: async () => {
    await page.page.context().setOffline(true);
    await delay(next() * 2_000);
    await page.page.context().setOffline(false);
  },
  quota: async () => {
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000 });
    await delay(next() * 2_000);
    await session.send("Storage.overrideQuotaForOrigin", { origin });
  },
  reload: async () => {
    await page.page.reload();
    await ready();
  },
  back: async () => {
    await page.page.goto("about:blank");
    await page.page.goBack();
    await ready();
  },
};

/** The sentences that the page shows about what went wrong. */
const sentences = () =>
  page.page.evaluate(() =>
    [...document.querySelectorAll(".problem")].map(
      (it) => (it.querySelector("span") ?? it).innerText.trim(),
    ),
  );

const heard = new Map();
async function listen() {
  for (const sentence of await sentences()) {
    heard.set(sentence, (heard.get(sentence) ?? 0) + 1);
    assert.match(sentence, /^[A-Z“][^]*[.!?]$/, "every message is a sentence");
    assert.doesNotMatch(sentence, RAW, "no raw error reaches a visitor");
  }
}

/** What the page shows. */
const look = () =>
  page.page.evaluate(() => ({
    status: document.querySelector('[data-testid="status"] strong')?.innerText ?? "",
    remedy: document.querySelector('[data-testid="status"] .problem button') !== null,
    seeds: [...document.querySelectorAll('[data-testid^="cell-"]')].map((it) => it.dataset.seed),
  }));

/**
 * What `act` gives; null where the page went away meanwhile: a service worker that comes anew after its site
 * data was cleared reloads a page that doesn't draw.
 */
async function unlessReloaded(act) {
  try {
    return await act();
  } catch (error) {
    if (/context was destroyed|navigation/.test(error.message)) {
      return null;
    }
    throw error;
  }
}

/** Brings the page to a finished grid of this seed, as a visitor would who presses what is offered. */
async function untilDrawn(seed) {
  const end = performance.now() + BOUND;
  let pressed = performance.now();
  for (;;) {
    const read = await unlessReloaded(() => Promise.all([listen(), look()]));
    if (read === null) {
      await ready();
      continue;
    }
    const [, state] = read;
    if (state.seeds.length === 4 && state.seeds.every((it) => it === String(seed) || it === String(seed + 1))) {
      return;
    }
    if (performance.now() > end) {
      assert.fail(`stuck: ${JSON.stringify(state)}; ${await unlessReloaded(sentences)}`);
    }
    const rests = /^(Ready|Done|Cancelled|The run failed|The engine is stopped)/.test(state.status);
    if (rests && performance.now() - pressed > 1_000) {
      pressed = performance.now();
      if (state.remedy) {
        await page.page.locator('[data-testid="status"] .problem button').first().click();
      } else {
        await page.control("seed").fill(String(seed));
        await page.control("generate").click();
      }
    } else if (performance.now() - pressed > 10_000) {
      // Nothing has come for a while: the page's own watch may be waiting.
      await unlessReloaded(() => page.page.evaluate(() => (globalThis.secondsAtOnce = 30)));
      await delay(1_500);
    }
    await delay(200);
  }
}

/** Whether what was kept before is still there: runs in the history, unless the store was cleared. */
async function assertKept(wasCleared) {
  const count = () =>
    page.page.evaluate(() =>
      new Promise((resolve) => {
        const open = indexedDB.open("firststep-history");
        open.onerror = () => resolve(-1);
        open.onupgradeneeded = () => open.transaction.abort();
        open.onsuccess = () => {
          const count = open.result.transaction("runs").objectStore("runs").count();
          count.onsuccess = () => {
            open.result.close();
            resolve(count.result);
          };
        };
      }),
    );
  const runs = (await unlessReloaded(count)) ?? (await unlessReloaded(count)) ?? 0;
  assert.ok(wasCleared || runs >= kept || runs === 100, `${kept} runs were kept, ${runs} are there`);
  kept = Math.max(0, runs);
}

let kept = 0;
console.log(`seed ${SEED}, ${TIMES} mishaps`);
await page.open(RECIPE);
await ready();
const counts = {};
let longest = 0;
for (let time = 1; time <= TIMES; time += 1) {
  const seed = time * 10;
  const name = pick(Object.keys(MISHAPS));
  counts[name] = (counts[name] ?? 0) + 1;
  const began = performance.now();
  try {
    await page.control("seed").fill(String(seed));
    await page.control("generate").click();
    await delay(next() * 1_500);
    await MISHAPS[name]();
    await untilDrawn(seed);
    await assertKept(name.startsWith("clear"));
  } catch (error) {
    console.error(`mishap ${time}, ${name}, seed ${SEED}: ${error.message}`);
    process.exitCode = 1;
    break;
  }
  longest = Math.max(longest, performance.now() - began);
}
console.log(Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(", "));
console.log(`longest ${(longest / 1000).toFixed(1)} s until drawn again; said on the way:`);
for (const [sentence, count] of heard) {
  console.log(`  ${count} × ${sentence}`);
}
await browser.close();
await server.close();
