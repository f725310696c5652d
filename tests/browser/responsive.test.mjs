// The page answers while the worker computes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { QUICK, withPage } from "./page.mjs";

const TIMEOUT = 10 * 60_000;
// The browser's own bound of a long task.
const LONGEST_TASK_MILLISECONDS = 50;
const MODES = ["base", "distilled", "hybrid", "skip"];

/** Notes the page thread's long tasks, and each cell as it gets done, from the start on. */
function watch({ page }) {
  return page.page.addInitScript(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        window.longTasks.push({ startTime, duration });
      }
    }).observe({ type: "longtask", buffered: true });

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
  "no task of the page thread is long while a grid of 4 × 8 is drawn",
  { timeout: TIMEOUT },
  async (t) => {
    const parameters = { ...QUICK, modes: MODES.join(","), "seed-count": 8, "base-steps": 2 };
    await withPage({ parameters, prepare: watch }, async ({ page }) => {
      // The first grid loads the models. What counts is the wall clock, which a machine that is
      // busy with something else stretches too: one grid of three may be unlucky.
      const longTasks = [];
      for (let grid = 0; grid < 3; grid += 1) {
        const seed = 1 + 8 * grid;
        await page.control("seed").fill(String(seed));
        await page.control("seed").blur();
        const start = await page.page.evaluate(() => performance.now());
        await page.pressGenerate();
        // The base model's row is drawn last.
        await page.page
          .locator(`[data-testid="cell-base-7"][data-state="done"][data-seed="${seed + 7}"]`)
          .waitFor({ timeout: TIMEOUT });
        const all = await page.page.evaluate(() => window.longTasks);
        const ofTheGrid = all.filter(
          (task) => task.startTime >= start && task.duration > LONGEST_TASK_MILLISECONDS,
        );
        t.diagnostic(`grid ${grid + 1}: ${ofTheGrid.length} long tasks`);
        longTasks.push(ofTheGrid);
      }
      const grids = longTasks.filter((tasks) => tasks.length > 0);
      assert.ok(grids.length <= 1, `long tasks in ${JSON.stringify(grids)}`);
    });
  },
);

test("typing shows up while a grid is drawn", { timeout: TIMEOUT }, async (t) => {
  const parameters = { ...QUICK, "seed-count": 16, "distilled-steps": 4 };
  await withPage({ parameters, prepare: watch }, async ({ page }) => {
    await page.pressGenerate();
    await page.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
    const start = performance.now();
    await page.control("prompt").fill("");
    await page.control("prompt").pressSequentially("a blue fish");
    assert.equal(await page.control("prompt").inputValue(), "a blue fish");
    const perKey = (performance.now() - start) / "a blue fish".length;
    t.diagnostic(`a key took ${perKey.toFixed(0)} ms, the way through the test's protocol included`);
    const states = Object.values(await page.cellStates());
    assert.ok(
      states.some((state) => state !== "done"),
      `the grid was still being drawn: ${states}`,
    );
    await page.control("cancel").click();
  });
});

test(
  "cancelling ends the run within a step and keeps what is done",
  { timeout: TIMEOUT },
  async (t) => {
    const parameters = { ...QUICK, "seed-count": 8, "distilled-steps": 4 };
    await withPage({ parameters, prepare: watch }, async ({ page }) => {
      await page.pressGenerate();
      await page.waitForDone(["cell-distilled-0"], TIMEOUT);
      const image = await page.image("distilled", 0);
      const start = performance.now();
      await page.control("cancel").click();
      await page.waitForStatus([/cancelled/i], 30_000);
      t.diagnostic(`cancelled after ${(performance.now() - start).toFixed(0)} ms`);

      const states = Object.values(await page.cellStates());
      assert.ok(!states.includes("running"), `nothing runs any more: ${states}`);
      assert.ok(!states.includes("failed"), `to cancel is no failure: ${states}`);
      const done = states.filter((state) => state === "done").length;
      assert.ok(done >= 1 && done < 8, `${done} images are done`);
      assert.deepEqual(await page.image("distilled", 0), image, "what is done stays as it is");

      await page.page.waitForTimeout(2_000);
      assert.deepEqual(Object.values(await page.cellStates()), states, "nothing goes on");
      await page.control("seed").fill("50");
      await page.control("seed").blur();
      await page.pressGenerate();
      await page.page
        .locator('[data-testid="cell-distilled-0"][data-state="done"][data-seed="50"]')
        .waitFor({ timeout: TIMEOUT });
    });
  },
);

test("a cancelled image ends in the middle of its steps", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, modes: "base", "base-steps": 100 };
  await withPage({ parameters }, async ({ page }) => {
    await page.pressGenerate();
    await page.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
    await page.control("cancel").click();
    await page.waitForStatus([/cancelled/i], 30_000);
    assert.deepEqual(await page.cellStates(), { "cell-base-0": "waiting" });
  });
});

test("a second run waits for the first", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "seed-count": 6 };
  await withPage({ parameters, prepare: watch }, async ({ page }) => {
    await page.pressGenerate();
    await page.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
    await page.control("seed").fill("7");
    await page.control("seed").blur();
    await page.pressGenerate();
    await page.waitForStatus([/1 run queued/], 10_000);
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
  const parameters = { ...QUICK, modes: MODES.join(","), "seed-count": 4, "base-steps": 2 };
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
      const seed = 1 + 4 * grid;
      await page.control("seed").fill(String(seed));
      await page.control("seed").blur();
      await page.pressGenerate();
      await page.page
        .locator(`[data-testid="cell-base-3"][data-state="done"][data-seed="${seed + 3}"]`)
        .waitFor({ timeout: TIMEOUT });
      sizes.push(await used());
    }
    t.diagnostic(`bytes after each grid: ${sizes.join(", ")}`);
    const ratio = sizes[9] / sizes[1];
    assert.ok(ratio <= 1.1, `${ratio.toFixed(3)} times as much as after the second grid`);
  });
});
