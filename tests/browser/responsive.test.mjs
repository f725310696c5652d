// The page answers while the worker computes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { QUICK } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 10 * 60_000;
const MODES = ["base", "distilled", "hybrid", "skip"];

/** Notes each cell as it gets done, from the start on. */
function noteDoneCells({ page }) {
  return page.page.addInitScript(() => {
    window.doneCells = [];
    new MutationObserver((records) => {
      for (const { target } of records) {
        if (target.dataset?.testid?.startsWith("cell-") && target.dataset.state === "done") {
          const done = `${target.dataset.testid} seed ${target.dataset.seed}`;
          if (!window.doneCells.includes(done)) {
            window.doneCells.push(done);
          }
        }
      }
    }).observe(document, {
      attributes: true,
      attributeFilter: ["data-state", "data-seed"],
      subtree: true,
    });
  });
}

test(
  "typing shows up while an image is drawn, which a cancel ends in the middle of its steps",
  { timeout: TIMEOUT },
  async () => {
    const parameters = { ...QUICK, modes: "base", "base-steps": 100 };
    await withPage({ parameters }, async ({ page }) => {
      await page.pressGenerate();
      await page.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
      await page.control("prompt").fill("");
      await page.control("prompt").pressSequentially("a blue fish");
      assert.equal(await page.control("prompt").inputValue(), "a blue fish");
      assert.deepEqual(await page.cellStates(), { "cell-base-0": "running" });
      await page.control("cancel").click();
      await page.waitForStatus([/cancelled/i], TIMEOUT);
      assert.deepEqual(await page.cellStates(), { "cell-base-0": "waiting" });
    });
  },
);

test("cancelling ends the run and keeps what is done", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "seed-count": 16, "distilled-steps": 4 };
  await withPage({ parameters, prepare: noteDoneCells }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(["cell-distilled-0"], TIMEOUT);
    const image = await page.image("distilled", 0);
    await page.control("cancel").click();
    await page.waitForStatus([/cancelled/i], TIMEOUT);

    const states = Object.values(await page.cellStates());
    assert.ok(!states.includes("running"), `nothing runs any more: ${states}`);
    assert.ok(!states.includes("failed"), `to cancel is no failure: ${states}`);
    const done = states.filter((state) => state === "done").length;
    assert.ok(done >= 1 && done < 16, `${done} images are done`);
    assert.deepEqual(await page.image("distilled", 0), image, "what is done stays as it is");

    // The worker does one thing after the other: when the next run draws, the first one is over.
    const doneCells = () => page.page.evaluate(() => window.doneCells);
    const before = await doneCells();
    await page.control("seed").fill("50");
    await page.control("seed").blur();
    await page.pressGenerate();
    await page.page
      .locator('[data-testid="cell-distilled-0"][data-state="done"][data-seed="50"]')
      .waitFor({ timeout: TIMEOUT });
    assert.deepEqual(
      (await doneCells()).slice(0, before.length + 1),
      [...before, "cell-distilled-0 seed 50"],
      "nothing goes on",
    );
  });
});

test("a second run waits for the first", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "seed-count": 6 };
  await withPage({ parameters, prepare: noteDoneCells }, async ({ page }) => {
    await page.pressGenerate();
    await page.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
    await page.control("seed").fill("7");
    await page.control("seed").blur();
    await page.pressGenerate();
    await page.waitForStatus([/1 run queued/], TIMEOUT);
    await page.page
      .locator('[data-testid="cell-distilled-5"][data-state="done"][data-seed="12"]')
      .waitFor({ timeout: TIMEOUT });
    const seedsFrom = (first) =>
      Array.from({ length: 6 }, (_, column) => `cell-distilled-${column} seed ${first + column}`);
    assert.deepEqual(await page.page.evaluate(() => window.doneCells), [
      ...seedsFrom(1),
      ...seedsFrom(7),
    ]);
  });
});

test("ten grids take no more memory than two", { timeout: TIMEOUT }, async (t) => {
  const parameters = { ...QUICK, modes: MODES.join(","), "seed-count": 2, "base-steps": 2 };
  await withPage({ parameters }, async ({ page }) => {
    const session = await page.page.context().newCDPSession(page.page);
    const used = async () => {
      await session.send("HeapProfiler.collectGarbage");
      const heap = await session.send("Runtime.getHeapUsage");
      // What scripts hold, what the document holds, and buffers with the program's own memory.
      return heap.usedSize + (heap.embedderHeapUsedSize ?? 0) + (heap.backingStorageSize ?? 0);
    };
    const sizes = [];
    for (let grid = 0; grid < 10; grid += 1) {
      const seed = 1 + 2 * grid;
      await page.control("seed").fill(String(seed));
      await page.control("seed").blur();
      await page.pressGenerate();
      await page.page
        .locator(`[data-testid="cell-base-1"][data-state="done"][data-seed="${seed + 1}"]`)
        .waitFor({ timeout: TIMEOUT });
      sizes.push(await used());
    }
    t.diagnostic(`bytes after each grid: ${sizes.join(", ")}`);
    const ratio = sizes[9] / sizes[1];
    assert.ok(ratio <= 1.1, `${ratio.toFixed(3)} times as much as after the second grid`);
  });
});
