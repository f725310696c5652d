// The store of the models: cut off at any moment, full, shared by tabs and pairs, and held open by an
// old version of the page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { rm } from "node:fs/promises";

import { DISTILLED, SHARED, smallModels } from "./hub_files.mjs";
import { LibraryPanel, SECOND, SMALL, encodedPair, offer, readStore } from "./library.mjs";
import { FirststepPage, eventually } from "./page.mjs";
import { withLibrary } from "./with_page.mjs";

const TIMEOUT = 6 * 60_000;
const UNET = `${SHARED.unet.repository}/${SHARED.unet.path}`;
const KILLS = 100;
/** The most that is under way of a small file, by src/weights/download/plan.rs. */
const CHUNK = 1024 * 1024;
/** Of the small pair's tensors, the longest: an embedding of 49,408 tokens. */
const LONGEST_TENSOR = 49_408 * 32 * 2;

/** @type {string} */
let models;
let reference;
/** Bytes of a load that nothing disturbs. */
let size;

before(async () => {
  models = await smallModels();
  await withLibrary({ models }, async ({ hub, page, library }) => {
    await library.load(SMALL);
    reference = await readStore(page);
    size = hub.bytesSent;
  });
});

after(() => rm(models, { recursive: true, force: true }));

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Waits until a load is about half done, and lets it get hardly any further. */
async function untilHalfArrived(hub) {
  await eventually(() => assert.ok(hub.bytesSent >= size / 2, "half of the load has arrived"));
  hub.throttle(100_000);
}

/** Lets a test end the page's workers. */
function keepWorkers() {
  const workers = [];
  globalThis.loaders = workers;
  const OriginalWorker = globalThis.Worker;
  globalThis.Worker = class extends OriginalWorker {
    constructor(address, options) {
      super(address, options);
      if (String(address).includes("loader")) {
        workers.push(this);
      }
    }
  };
}

/** Starts the small pair's load by the loader's own messages, in a worker of the test's. */
function startLoader(page) {
  return page.page.evaluate(
    (address) =>
      new Promise((resolve) => {
        const worker = new Worker("./start_loader.js", { type: "module" });
        globalThis.testLoader = worker;
        globalThis.testEvents = [];
        worker.onmessage = ({ data }) => {
          globalThis.testEvents.push(data.Event ?? data);
          if (data.Ready !== undefined) {
            worker.postMessage({ Start: { page_url: document.baseURI } });
            worker.postMessage({ Load: { address, accepts_licences: true } });
            resolve();
          }
        };
      }),
    SMALL,
  );
}

test(`${KILLS} ends of the loader at any moment cost a chunk each at most`, { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub }) => hub.throttle(3_000_000);
  await withLibrary({ models, prepare }, async ({ hub, page }) => {
    let kills = 0;
    for (let isDone = false; !isDone; kills += 1) {
      await startLoader(page);
      if (kills === KILLS) {
        hub.throttle(Infinity);
        await page.page.waitForFunction(
          () => testEvents.some((event) => event.Loaded ?? event.Failed ?? event.Panicked),
          null,
          { timeout: TIMEOUT },
        );
        break;
      }
      await sleep(30 + 370 * ((kills * 0.618) % 1));
      isDone = await page.page.evaluate(() => {
        testLoader.terminate();
        return testEvents.some((event) => event.Loaded ?? event.Failed ?? event.Panicked);
      });
      if (kills % 10 === 9) {
        const { records, complete } = await readStore(page);
        for (const [key, hash] of Object.entries(records)) {
          assert.equal(hash, reference.records[key], `${key} after ${kills + 1} ends`);
        }
        assert.ok(complete.every((id) => reference.complete.includes(id)));
      }
    }
    assert.deepEqual(await readStore(page), reference);
    const most = size + kills * Math.max(CHUNK, LONGEST_TENSOR);
    assert.ok(hub.bytesSent <= most, `${hub.bytesSent} bytes of ${size}, ${most} allowed`);
  });
});

test("a worker that dies is replaced, and the load goes on", { timeout: TIMEOUT }, async () => {
  const prepare = async ({ hub, page }) => {
    hub.throttle(2_000_000);
    await page.page.addInitScript(keepWorkers);
  };
  await withLibrary({ models, prepare }, async ({ hub, page, library, browser }) => {
    browser.expectProblem(/ended by a test/);
    await library.start(SMALL);
    await untilHalfArrived(hub);
    // As a trap in the module does: the worker's error event, and silence.
    await page.page.evaluate(() => {
      const worker = loaders.at(-1);
      worker.terminate();
      worker.dispatchEvent(new ErrorEvent("error", { message: "ended by a test" }));
    });
    hub.throttle(Infinity);
    await library.waitFor(SMALL, { state: "complete", phase: "idle" });
    assert.deepEqual(await readStore(page), reference);
  });
});

test("a paused load goes on where it was, also after the page was closed", { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub }) => hub.throttle(3_000_000);
  await withLibrary({ models, prepare }, async ({ hub, page, library }) => {
    await library.start(SMALL);
    await untilHalfArrived(hub);
    await library.row(SMALL).getByTestId("pause").click();
    await library.waitFor(SMALL, { state: "partial", phase: "idle" });
    hub.throttle(Infinity);
    await eventually(async () => {
      const sent = hub.bytesSent;
      await sleep(700);
      assert.equal(hub.bytesSent, sent, "nothing arrives while it is paused");
    });
    assert.ok(hub.bytesSent < size, "it was paused before its end");
    await page.reload();
    await library.load(SMALL);
    assert.deepEqual(await readStore(page), reference);
    assert.ok(hub.bytesSent <= size + 2 * Math.max(CHUNK, LONGEST_TENSOR));
  });
});

test("a full disk keeps what is there, and says what to do", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models }, async ({ page, library, server }) => {
    const session = await page.page.context().newCDPSession(page.page);
    const origin = new URL(server.url).origin;
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 8_000_000 });
    await library.start(SMALL);
    await library.waitForSentence(/\d+(\.\d+)? MB/);
    await library.waitFor(SMALL, { state: "partial", phase: "idle" });
    const { records, complete } = await readStore(page);
    for (const [key, hash] of Object.entries(records)) {
      assert.equal(hash, reference.records[key]);
    }
    assert.ok(complete.length < reference.complete.length);
    await session.send("Storage.overrideQuotaForOrigin", { origin });
    await library.load(SMALL);
    assert.deepEqual(await readStore(page), reference);
  });
});

test("a second pair of the same base fetches only what is new", { timeout: TIMEOUT }, async () => {
  const prepare = async ({ hub, server, manifest }) => {
    const second = await encodedPair(hub, { distilled: "dmd2-lora" });
    offer(server, hub, { [SMALL]: manifest, [SECOND]: second });
  };
  await withLibrary({ models, prepare }, async ({ hub, page, library }) => {
    await library.load(SMALL);
    const before = new Map(hub.requests.map(({ path }) => [path, hub.bytesOf(path)]));
    await library.load(SECOND);
    const adapter = `${DISTILLED["dmd2-lora"].repository}/${DISTILLED["dmd2-lora"].path}`;
    for (const { path } of hub.requests) {
      if (path !== adapter) {
        assert.equal(hub.bytesOf(path), before.get(path) ?? 0, path);
      }
    }
    assert.ok(hub.bytesOf(adapter) > 0);
    // What both use stays when one of them goes.
    await library.row(SECOND).getByTestId("delete").click();
    await library.row(SECOND).getByTestId("confirm-delete").click();
    await library.waitFor(SMALL, { state: "complete" });
    await page.page.waitForFunction(
      (address) =>
        document.querySelector(`[data-testid="library-pair"][data-address="${address}"]`)?.dataset
          .state !== "complete",
      SECOND,
    );
    assert.deepEqual(await readStore(page), reference);
  });
});

test("one tab loads, another follows, and takes over when it is closed", { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub }) => hub.throttle(2_000_000);
  await withLibrary({ models, prepare }, async ({ hub, server, browser, page, library }) => {
    await library.start(SMALL);
    await untilHalfArrived(hub);
    const other = new FirststepPage(await browser.newPage(), server.url);
    await other.open({ device: "cpu" });
    const following = new LibraryPanel(other);
    await following.open();
    await following.waitFor(SMALL, { phase: "elsewhere" });
    await page.page.close();
    await following.waitFor(SMALL, { phase: "loading" });
    hub.throttle(Infinity);
    await following.waitFor(SMALL, { state: "complete", phase: "idle" });
    assert.deepEqual(await readStore(other), reference);
    assert.ok(hub.bytesSent <= size + 2 * Math.max(CHUNK, LONGEST_TENSOR));
  });
});

test("a record that was damaged in the store is loaded again, alone", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models }, async ({ hub, page, library }) => {
    await library.load(SMALL);
    await page.page.evaluate(async () => {
      const database = await new Promise((resolve) => {
        const request = indexedDB.open("firststep");
        request.onsuccess = () => resolve(request.result);
      });
      const transaction = database.transaction("tensors", "readwrite");
      const store = transaction.objectStore("tensors");
      await new Promise((resolve) => {
        const request = store.getAllKeys();
        request.onsuccess = () => {
          const key = request.result.find((key) => key.endsWith("mid_block.resnets.0.conv1.weight"));
          const read = store.get(key);
          read.onsuccess = () => {
            read.result.bytes[100] ^= 1;
            store.put(read.result, key);
          };
        };
        transaction.oncomplete = resolve;
      });
      database.close();
    });
    await library.row(SMALL).getByTestId("use").click();
    await page.page.locator(".facts dd", { hasText: /^Small SDXL/ }).waitFor({ timeout: TIMEOUT });
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
    await page.control("seed-count").fill("1");
    await page.control("generate").click();
    await page.waitForStatus([/damaged[^]*mid_block/], TIMEOUT);
    const before = hub.bytesSent;
    await library.load(SMALL);
    assert.ok(hub.bytesSent - before <= CHUNK);
    assert.deepEqual(await readStore(page), reference);
  });
});

/** Makes the database of the page's first version, in a tab that holds it open. */
async function oldVersion({ server, browser }) {
  const old = await browser.newPage();
  // The file has no icon.
  browser.expectProblem(/^Failed to load resource/);
  await old.goto(`${server.url}pairs/index.json`);
  await old.evaluate(
    () =>
      new Promise((resolve) => {
        const request = indexedDB.open("firststep", 1);
        request.onupgradeneeded = () => {
          for (const name of ["tensors", "files", "manifests"]) {
            request.result.createObjectStore(name).put("of the old form", "key");
          }
        };
        request.onsuccess = () => {
          globalThis.heldOpen = request.result;
          resolve();
        };
      }),
  );
  return old;
}

test("an old tab that holds the store open is named", { timeout: TIMEOUT }, async () => {
  let old;
  const prepare = async (tools) => {
    old = await oldVersion(tools);
  };
  await withLibrary({ models, prepare }, async ({ page, library }) => {
    await page.control("models").click();
    await library.waitForSentence(/older version of this page[^]*downloaded again/);
    await old.close();
    await page.reload();
    await library.load(SMALL);
    assert.deepEqual(await readStore(page), reference);
  });
});

test("a store of the old form is emptied, and the page says so", { timeout: TIMEOUT }, async () => {
  const prepare = async (tools) => (await oldVersion(tools)).close();
  await withLibrary({ models, prepare }, async ({ page, library }) => {
    await page.waitForStatus([/another form[^]*downloaded again/], 30_000);
    await library.load(SMALL);
    assert.deepEqual(await readStore(page), reference);
  });
});
