// The address sets every control, and a bad one is a sentence on a page that works.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, QUICK } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 2 * 60_000;

test("every control takes its value from the address", { timeout: TIMEOUT }, async () => {
  const values = {
    prompt: "a bus & a café",
    "negative-prompt": "red",
    seed: "4294967295",
    "seed-count": "2",
    k: "2",
    "base-guidance": "1.5",
    guidance: "6.5",
    "hybrid-base-steps": "3",
    "base-steps": "7",
    "distilled-steps": "5",
    "base-scheduler": "euler",
    "distilled-scheduler": "euler-ancestral",
  };
  const parameters = { ...values, modes: "base,skip", device: "cpu" };
  await withPage({ parameters }, async ({ page }) => {
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
    for (const [handle, value] of Object.entries(values)) {
      assert.equal(await page.control(handle).inputValue(), value, handle);
    }
    const ticked = {};
    for (const mode of ["base", "distilled", "hybrid", "skip"]) {
      ticked[mode] = await page.control(`mode-${mode}`).isChecked();
    }
    assert.deepEqual(ticked, { base: true, distilled: false, hybrid: false, skip: true });

    // Key by key, since half a number reads as none.
    await page.control("base-guidance").fill("");
    await page.control("base-guidance").pressSequentially("2.25");
    assert.equal(await page.control("base-guidance").inputValue(), "2.25");
    await page.page.waitForFunction(() => location.hash.includes("base-guidance=2.25"));
  });
});

test("what can't be read of an address is a sentence", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "base-steps": "many", "seed-counts": "3" };
  await withPage({ parameters }, async ({ page }) => {
    await page.waitForStatus([/base-steps/, /seed-counts/], 30_000);
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
    assert.equal(await page.control("prompt").inputValue(), QUICK.prompt);
  });
});

// Browsers evict what a page has stored: Safari after seven days without a visit, others where room gets
// scarce.
test("an added pair that the browser has evicted says so and how to get it back", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, pair: "added/0123456789abcdef" };
  await withPage({ parameters }, async ({ page }) => {
    await page.waitForStatus([/this one doesn't have it/, /Open Models and add the pair again/], 60_000);
  });
});

test("where nothing can be stored, Models says what can be drawn all the same", { timeout: TIMEOUT }, async () => {
  const nothing = 'Object.defineProperty(self, "indexedDB", { value: undefined });\n';
  const loader = nothing + (await readFile(join(DIST, "start_loader.js"), "utf8"));
  const prepare = ({ server }) =>
    server.fault("/start_loader.js", { replaceBody: Buffer.from(loader) });
  await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page }) => {
    await page.control("models").click({ timeout: TIMEOUT });
    const problem = page.control("library-problem").first();
    await problem.waitFor({ timeout: TIMEOUT });
    assert.match(await problem.innerText(), /private windows do.*drawn from memory.*ordinary window/s);
  });
});
