// Where the models run, and that the page says so. That #device=webgpu draws on WebGPU, on a software
// adapter too, is what generate.test.mjs shows.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hasAdapter } from "./browser.mjs";
import { QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;

async function waitForDevice(page, device) {
  await page.page
    .locator(`[data-testid="device"][data-device="${device}"]`)
    .waitFor({ state: "attached", timeout: 60_000 });
}

/** Sentences about WebGPU that a visitor sees. */
async function visibleNotices(page) {
  const texts = await page.page
    .getByText(/WebGPU/)
    .filter({ visible: true })
    .allInnerTexts();
  return texts.filter((text) => /WebGPU[^.]*\./.test(text));
}

test(
  "without WebGPU the page draws on the CPU device and says so",
  { timeout: TIMEOUT },
  async () => {
    const parameters = { ...QUICK, device: "automatic" };
    await withPage({ webgpu: "off", parameters }, async ({ page }) => {
      assert.ok(!(await hasAdapter(page.page)), "this browser must not hand out an adapter");
      await waitForDevice(page, "cpu");
      assert.notDeepEqual(await visibleNotices(page), [], "a sentence says why WebGPU is not used");
      await page.pressGenerate();
      await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    });
  },
);

test("a software adapter alone is no reason to leave the CPU", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, device: "automatic" };
  await withPage({ parameters }, async ({ page }) => {
    assert.ok(await hasAdapter(page.page), "Chromium has to hand out its software adapter");
    await waitForDevice(page, "cpu");
    assert.notDeepEqual(await visibleNotices(page), [], "a sentence says why WebGPU is not used");
  });
});

test(
  "#device=webgpu without an adapter is a sentence, not a picture",
  { timeout: TIMEOUT },
  async () => {
    const parameters = { ...QUICK, device: "webgpu" };
    await withPage({ webgpu: "off", parameters }, async ({ page }) => {
      await page.waitForStatus([/WebGPU.*\./], 60_000);
    });
  },
);
