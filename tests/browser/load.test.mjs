// Pairs from a hub into the store, whatever the network does on the way.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { rm } from "node:fs/promises";

import { SHARED, smallModels } from "./hub_files.mjs";
import { SMALL, readStore } from "./library.mjs";
import { cellNames } from "./page.mjs";
import { withLibrary } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const UNET = `${SHARED.unet.repository}/${SHARED.unet.path}`;

/** @type {string} */
let models;
/** The store after a load that nothing disturbed. */
let reference;

before(async () => {
  models = await smallModels();
  await withLibrary({ models }, async ({ page, library }) => {
    await library.load(SMALL);
    reference = await readStore(page);
  });
  assert.ok(Object.keys(reference.records).length > 500);
  assert.deepEqual(reference.begun, []);
});

after(() => rm(models, { recursive: true, force: true }));

async function assertSound(page) {
  assert.deepEqual(await readStore(page), reference);
}

test("a pair from a hub draws once it is complete", { timeout: TIMEOUT }, async () => {
  const pair = { proven: false };
  await withLibrary({ models, pair }, async ({ hub, page, library, server }) => {
    await library.load(SMALL);
    // The hub was asked for what the manifest left out.
    assert.ok(hub.requests.some(({ route }) => route === "raw"));
    const size = hub.requests.length;
    await library.row(SMALL).getByTestId("use").click();
    await page.page.locator(".facts dd", { hasText: /^Small SDXL/ }).waitFor({ timeout: TIMEOUT });
    await page.control("seed-count").fill("1");
    await page.pressGenerate();
    await page.waitForDone(cellNames(["base", "distilled", "hybrid"], 1), TIMEOUT);
    assert.equal(hub.requests.length, size, "what is stored is not asked for again");
    assert.ok(server.requests.length > 0);
  });
});

/** What the network does, what the page says of it, and whether the load goes on by itself. */
const FAULTS = [
  { name: "a connection that is cut", fault: { kind: "cut", bytes: 100_000, times: 3 }, says: /broke/ },
  { name: "a host that stalls", fault: { kind: "stall", bytes: 50_000 }, says: /stopped sending/ },
  { name: "status 500", fault: { kind: "status", status: 500, times: 2 }, says: /500/ },
  { name: "status 429", fault: { kind: "status", status: 429, retryAfter: 2 }, says: /429/ },
  {
    name: "the whole file for a part of it",
    fault: { kind: "ignore-range", skip: 3 },
    says: /sent the whole/,
  },
  {
    name: "another part than was asked for",
    fault: { kind: "wrong-content-range", times: 2 },
    says: /another part/,
  },
  { name: "a part that ends early", fault: { kind: "truncated", bytes: 1000 }, says: /broke/ },
  { name: "a flipped byte", fault: { kind: "flip", offset: 3_000_000 }, says: /SHA-256[^]*differs/ },
  { name: "a redirection to a dead host", fault: { kind: "dead-redirect" }, says: /can't be reached/ },
  { name: "an answer without CORS headers", fault: { kind: "no-cors" }, says: /CORS/ },
];

for (const { name, fault, says } of FAULTS) {
  test(`${name} is got over, and nothing wrong is stored`, { timeout: TIMEOUT }, async () => {
    const prepare = ({ hub, browser }) => {
      hub.fault(UNET, fault);
      browser.expectProblem(/Failed to load resource|CORS policy|ERR_/);
    };
    await withLibrary({ models, prepare }, async ({ page, library }) => {
      await library.start(SMALL);
      await library.waitForSentence(says);
      await library.waitFor(SMALL, { state: "complete" });
      await assertSound(page);
    });
  });
}

test("a wrong byte is named, and only what differs is stored anew", { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub }) => hub.fault(UNET, { kind: "flip", offset: 3_000_000 });
  await withLibrary({ models, prepare }, async ({ page, library }) => {
    await library.load(SMALL);
    const found = (await library.sentences()).find((text) => /wrong bytes/i.test(text));
    const [, from, to] = /between (\d+) and (\d+)/.exec(found);
    assert.ok(Number(from) <= 3_000_000 && 3_000_000 < Number(to));
    assert.ok(to - from < 1_500_000, "a part of the file, and not much more");
    await assertSound(page);
  });
});

test("a file that stays wrong is refused by its name, and never used", { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub }) => hub.fault(UNET, { kind: "flip", offset: 3_000_000, times: Infinity });
  await withLibrary({ models, prepare }, async ({ hub, page, library }) => {
    await library.start(SMALL);
    await library.waitForSentence(/unet.*other bytes[^]*SHA-256/);
    await library.waitFor(SMALL, { phase: "idle" });
    assert.equal((await readStore(page)).complete.length, 0);
    hub.clearFaults();
    await library.load(SMALL);
    await assertSound(page);
  });
});

test("a file that changes under way is begun anew", { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub }) => hub.fault(UNET, { kind: "etag-changed", skip: 6 });
  await withLibrary({ models, prepare }, async ({ page, library }) => {
    await library.load(SMALL);
    assert.ok((await library.sentences()).some((text) => /changed/.test(text)));
    await assertSound(page);
  });
});

test("a missing file is named, and what is there stays", { timeout: TIMEOUT }, async () => {
  const prepare = ({ hub, browser }) => {
    hub.fault(`${SHARED.vae.repository}/${SHARED.vae.path}`, {
      kind: "status",
      status: 404,
      times: Infinity,
    });
    browser.expectProblem(/Failed to load resource/);
  };
  await withLibrary({ models, prepare }, async ({ hub, page, library }) => {
    await library.start(SMALL);
    await library.waitForSentence(/vae[^]*404/);
    await library.waitFor(SMALL, { state: "partial", phase: "idle" });
    const bytes = hub.bytesOf(UNET);
    hub.clearFaults();
    await library.load(SMALL);
    assert.equal(hub.bytesOf(UNET), bytes, "the UNet is not fetched again");
    await assertSound(page);
  });
});
