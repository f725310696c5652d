// A store that an earlier version of the page has filled is read, and its files are not fetched again.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { COMPONENT, restoreEarlierStore } from "./earlier_store.mjs";
import { DIST, PAIR_PATH, QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;

test("a file in an earlier version's store is not fetched again", { timeout: TIMEOUT }, async () => {
  const manifest = JSON.parse(await readFile(join(DIST, PAIR_PATH, "manifest.json"), "utf8"));
  const [stored] = manifest.components[COMPONENT].files;
  const prepare = async ({ browser, server }) => {
    const page = await browser.newPage();
    // A page of the same origin that opens no store of its own.
    const empty = "<!doctype html><title>Empty</title><link rel=icon href=data:,>";
    server.fault("/empty/", { replaceBody: Buffer.from(empty) });
    await page.goto(`${server.url}empty/`);
    await restoreEarlierStore(page);
    await page.close();
  };
  await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
    await page.pressGenerate();
    // Drawn with the stored records: one that was misread would fail its checksum or the load.
    await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    const fetched = new Set(server.requests.map(({ path }) => path));
    assert.ok(fetched.has(PAIR_PATH + manifest.components.vae.files[0].path), "the rest is fetched");
    assert.ok(!fetched.has(PAIR_PATH + stored.path), `${stored.path} is in the store`);
    assert.doesNotMatch(await page.statusText(), /another form|order of an earlier version/);
  });
});
