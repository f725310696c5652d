// The grid: first looks, going on, rows along an axis, the keyboard, and panes side by side.

import assert from "node:assert/strict";
import { test } from "node:test";

import { QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 10 * 60_000;
const TRIAGE = { ...QUICK, modes: "distilled,hybrid", "seed-count": 2, "distilled-steps": 3 };

/** The images of cells, by name. */
async function images(page, cells) {
  const found = {};
  for (const [mode, column] of cells) {
    found[`${mode}-${column}`] = (await page.image(mode, column)).rgba;
  }
  return found;
}

const waitForState = (page, name, state) =>
  page.page.locator(`[data-testid="${name}"][data-state="${state}"]`).waitFor({ timeout: TIMEOUT });

test(
  "cells that are ticked after a first look end as a full run's, pixel for pixel",
  { timeout: TIMEOUT },
  async () => {
    await withPage({ parameters: TRIAGE }, async ({ page }) => {
      await page.control("first-look").click({ timeout: 60_000 });
      for (const name of cellNames(["distilled", "hybrid"], 2)) {
        await waitForState(page, name, "resting");
      }
      const looks = await images(page, [["hybrid", 1]]);
      assert.equal(await page.control("finish-ticked").isDisabled(), true, "nothing is ticked");
      await page.control("tick-hybrid-1").check();
      await page.control("tick-distilled-0").check();
      await page.control("finish-ticked").click();
      const finished = [
        ["distilled", 0],
        ["hybrid", 1],
      ];
      await page.waitForDone(["cell-distilled-0", "cell-hybrid-1"], TIMEOUT);
      await page.waitForStatus([/^Done: 2 images/], 30_000);
      const states = await page.cellStates();
      assert.equal(states["cell-distilled-1"], "resting", "what was not ticked rests on");
      assert.equal(states["cell-hybrid-0"], "resting");
      const triaged = await images(page, finished);
      assert.notDeepEqual(triaged["hybrid-1"], looks["hybrid-1"], "two steps more");

      await page.control("finish-all").click();
      await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
      const diversity = page.control("diversity-hybrid");
      assert.equal(await diversity.getAttribute("data-n"), "2");
      const mean = Number(await diversity.getAttribute("data-mean"));
      assert.ok(mean > 0 && mean <= 1, `two seeds differ: ${mean}`);

      await page.pressGenerate();
      await page.page.waitForFunction(
        () =>
          document.querySelectorAll('[data-testid^="cell-"][data-state="done"]').length < 4,
      );
      await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
      assert.deepEqual(await images(page, finished), triaged);
    });
  },
);

test("a cancelled grid goes on where it was", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "seed-count": 3, "distilled-steps": 12 };
  await withPage({ parameters }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(["cell-distilled-0"], TIMEOUT);
    await page.page
      .locator('[data-testid="cell-distilled-1"][data-model="distilled"]')
      .waitFor({ timeout: TIMEOUT });
    await page.control("cancel").click();
    await page.waitForStatus([/cancelled/i], 30_000);
    const kept = await images(page, [["distilled", 0]]);
    assert.match(await page.control("resume").innerText(), /Go on with 2 cells/);
    await page.control("resume").click();
    await page.waitForDone(cellNames(["distilled"], 3), TIMEOUT);
    assert.deepEqual(await images(page, [["distilled", 0]]), kept, "it was not drawn again");
    const column = (name) => images(page, [["distilled", name]]);
    const resumed = { ...(await column(1)), ...(await column(2)) };

    await page.pressGenerate();
    await waitForState(page, "cell-distilled-2", "waiting");
    await page.waitForDone(cellNames(["distilled"], 3), TIMEOUT);
    assert.deepEqual({ ...(await column(1)), ...(await column(2)) }, resumed);
  });
});

test("a first look that was cancelled goes on as a first look", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "seed-count": 16, "distilled-steps": 4 };
  await withPage({ parameters }, async ({ page }) => {
    await page.control("first-look").click({ timeout: 60_000 });
    await waitForState(page, "cell-distilled-0", "resting");
    await page.control("cancel").click();
    await page.control("resume").click({ timeout: 30_000 });
    for (const name of cellNames(["distilled"], 16)) {
      await waitForState(page, name, "resting");
    }
    await page.waitForStatus([/^First look done/], 30_000);
    assert.equal(await page.control("resume").count(), 0);
  });
});

test("rows differ in k, base guidance or the prompt", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, modes: "distilled,hybrid", "distilled-steps": 3 };
  await withPage({ parameters }, async ({ page }) => {
    await page.page.locator('[data-testid="axis"]:enabled').waitFor({ timeout: TIMEOUT });
    await page.control("axis").selectOption("k");
    await page.control("k-values").fill("1, 2");
    await page.pressGenerate();
    await page.waitForDone(["cell-distilled-0", "cell-hybrid-k1-0", "cell-hybrid-k2-0"], TIMEOUT);
    const [one, two] = [await page.image("hybrid-k1", 0), await page.image("hybrid-k2", 0)];
    assert.notDeepEqual(one.rgba, two.rgba);
    assert.match(await page.page.evaluate(() => location.hash), /k-values=1,2/);

    await page.control("k-values").fill("1, 9");
    await page.pressGenerate();
    await page.waitForStatus([/k is 9; it has to be between 1 and 3/], 30_000);

    await page.control("axis").selectOption("prompts");
    await page.control("further-prompts").fill("a blue fish\n\n a green apple ");
    await page.pressGenerate();
    await page.waitForDone(["cell-hybrid-p1-0", "cell-distilled-p2-0", "cell-hybrid-p3-0"], TIMEOUT);
    await page.control("further-prompts").fill("a\nb\nc\nd");
    await page.pressGenerate();
    await page.waitForStatus([/10 rows; 8 are the most/], 30_000);
  });
});

test("the grid is one stop of the tab key, and arrows go through it", { timeout: TIMEOUT }, async () => {
  const parameters = { ...TRIAGE, "distilled-steps": 2 };
  await withPage({ parameters }, async ({ page }) => {
    const { keyboard } = page.page;
    await page.control("first-look").click({ timeout: 60_000 });
    await waitForState(page, "cell-hybrid-1", "resting");
    const focused = () => page.page.evaluate(() => document.activeElement?.dataset.testid);
    assert.equal(await page.page.locator('[role="gridcell"][tabindex="0"]').count(), 1);
    await page.control("save-grid").focus();
    await page.control("copy-link").focus();
    await keyboard.press("Tab");
    assert.equal(await focused(), "cell-distilled-0", "Tab leads in");
    const way = [
      ["ArrowRight", "cell-distilled-1"],
      ["ArrowRight", "cell-distilled-1"],
      ["ArrowDown", "cell-hybrid-1"],
      ["Home", "cell-hybrid-0"],
      ["Control+Home", "cell-distilled-0"],
      ["Control+End", "cell-hybrid-1"],
      ["ArrowUp", "cell-distilled-1"],
    ];
    for (const [key, expected] of way) {
      await keyboard.press(key);
      assert.equal(await focused(), expected, key);
    }
    await keyboard.press("Space");
    assert.equal(await page.control("tick-distilled-1").isChecked(), true);
    await keyboard.press("Enter");
    await page.page
      .locator('[data-testid="cell-distilled-1"][aria-selected="true"]')
      .waitFor({ timeout: 30_000 });

    await page.control("finish-all").click();
    await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
    await page.cell("hybrid", 1).focus();
    await keyboard.press("c");
    await page.control("compare").waitFor({ state: "visible" });
    assert.match(await page.control("compare").innerText(), /Seed 2, side by side/);
    assert.equal(await page.page.locator('[data-testid^="pane-"]').count(), 2);
    await keyboard.press("+");
    await keyboard.press("ArrowLeft");
    const transforms = await page.page
      .locator(".pane canvas")
      .evaluateAll((canvases) => canvases.map((canvas) => canvas.style.transform));
    assert.equal(new Set(transforms).size, 1, "the panes move together");
    assert.match(transforms[0], /scale\(1\.25\)/);
    await keyboard.press("PageDown");
    assert.match(await page.control("compare").innerText(), /Seed 1, side by side/);
    await keyboard.press("Escape");
    await page.control("compare").waitFor({ state: "hidden" });
    assert.equal(await focused(), "cell-hybrid-1", "the focus goes back");
  });
});

test("cells that are out of sight have no canvas", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "seed-count": 16, "distilled-steps": 1, modes: "distilled" };
  await withPage({ parameters }, async ({ page }) => {
    await page.page.setViewportSize({ width: 400, height: 500 });
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 16), TIMEOUT);
    const canvases = page.page.locator('[data-testid^="cell-"] canvas');
    assert.ok((await canvases.count()) < 16, `${await canvases.count()} canvases of 16`);
    await page.cell("distilled", 15).scrollIntoViewIfNeeded();
    await page.cell("distilled", 15).locator("canvas").waitFor({ timeout: 30_000 });
    const image = await page.image("distilled", 15);
    assert.ok(new Set(image.rgba).size > 10, "it is drawn when it comes into sight");
  });
});
