// What is wrong in the controls is marked, focused and explained where it stands; nothing of a prompt is
// cut in silence.

import assert from "node:assert/strict";
import { test } from "node:test";

import { QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 2 * 60_000;

const ready = (page) =>
  page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: 60_000 });

/** The field with the focus, and the sentence in sight that describes it. */
const focused = (page) =>
  page.page.evaluate(() => {
    const field = document.activeElement;
    const ids = (field.getAttribute("aria-describedby") ?? "").split(" ");
    const texts = ids.map((id) => document.getElementById(id)).filter((it) => it?.innerText);
    const inSight = texts.filter((text) => {
      const { top, bottom, left, right } = text.getBoundingClientRect();
      return top >= 0 && bottom <= innerHeight && left >= 0 && right <= innerWidth;
    });
    return {
      field: field.dataset.testid,
      invalid: field.getAttribute("aria-invalid"),
      sentence: inSight.map((text) => text.innerText).join(" "),
    };
  });

const CASES = [
  {
    field: "seed-count",
    spoil: (page) => page.control("seed-count").fill(""),
    sentence: /The number of seeds has to be/,
    mend: (page) => page.control("seed-count").fill("1"),
  },
  {
    field: "mode-base",
    spoil: (page) => page.control("mode-distilled").uncheck(),
    sentence: /tick at least one/,
    mend: (page) => page.control("mode-distilled").check(),
  },
  {
    field: "k",
    spoil: async (page) => {
      await page.control("mode-hybrid").check();
      await page.page.locator("details.settings").evaluate((details) => (details.open = true));
      await page.control("k").fill("9");
      await page.page.locator("details.settings").evaluate((details) => (details.open = false));
    },
    sentence: /k is 9; it has to be between/,
    mend: async (page) => {
      await page.control("k").fill("1");
      await page.control("mode-hybrid").uncheck();
    },
  },
  {
    field: "k-values",
    spoil: async (page) => {
      await page.control("mode-hybrid").check();
      await page.control("axis").selectOption("k");
      await page.control("k-values").fill("1, two");
    },
    sentence: /Each k has to be/,
    mend: async (page) => {
      await page.control("axis").selectOption("modes");
      await page.control("mode-hybrid").uncheck();
    },
  },
  {
    field: "prompt",
    spoil: (page) => page.control("prompt").fill("heart ".repeat(500)),
    sentence: /3000 characters; 2000 are the most/,
    mend: (page) => page.control("prompt").fill("a red heart"),
  },
];

for (const width of [320, 1280]) {
  test(`a wrong field is found at ${width} pixels`, { timeout: TIMEOUT }, async () => {
    await withPage({ parameters: QUICK }, async ({ page }) => {
      await page.page.setViewportSize({ width, height: 700 });
      await ready(page);
      for (const { field, spoil, sentence, mend } of CASES) {
        await spoil(page);
        await page.control("generate").click();
        const found = await focused(page);
        assert.equal(found.field, field);
        assert.equal(found.invalid, "true", field);
        assert.match(found.sentence, sentence, field);
        assert.match(await page.statusText(), sentence, field);
        assert.equal(await page.page.locator('[data-testid^="cell-"]').count(), 0, "nothing is drawn");
        await mend(page);
        await page.page.waitForFunction(() => document.querySelector("[aria-invalid=true]") === null);
        assert.doesNotMatch(await page.statusText(), sentence, field);
      }
      const overflow = await page.page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(overflow <= 0, `${width} pixels are too narrow by ${overflow}`);
    });
  });
}

test("a paste that is too long stays as it is, and says so", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: QUICK }, async ({ page }) => {
    await ready(page);
    const text = `${"heart ".repeat(400)}end`;
    await page.control("prompt").fill("");
    await page.control("prompt").focus();
    await page.page.keyboard.insertText(text);
    assert.equal(await page.control("prompt").inputValue(), text);
    await page.page.keyboard.press("Enter");
    await page.waitForStatus([/2403 characters/], 30_000);
  });
});

test("a link whose checksum was taken off says that it may have been edited", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: QUICK }, async ({ page }) => {
    await page.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    await page.control("copy-link").click();
    await page.control("link-status").getByText(/Link copied/).waitFor({ timeout: 30_000 });
    const link = await page.page.evaluate(() => navigator.clipboard.readText());
    const edited = new URL(link).hash.replace(/&sum=.*/, "").replace("seed=1", "seed=6");
    const address = page.page.url().split("#")[0];
    await page.page.goto("about:blank");
    await page.page.goto(address + edited);
    await page.waitForStatus([/checksum was taken off/], 60_000);
    await ready(page);
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    const agreement = await page.control("agreement").innerText();
    assert.match(agreement, /where the link was edited since, that is why/);
    assert.doesNotMatch(agreement, /sender's device/);
  });
});

test("a row's interval stays possible, and rows of the same seeds are compared pair by pair", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, modes: "distilled,skip", "seed-count": 4 };
  await withPage({ parameters }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled", "skip"], 4), TIMEOUT);
    const text = await page.control("diversity-distilled").innerText();
    const [, low, high] = /\(([\d.]+) to ([\d.]+)\), n = 4/.exec(text) ?? assert.fail(text);
    assert.ok(Number(low) >= 0 && Number(high) <= 1, text);
    assert.match(
      await page.control("difference-skip").innerText(),
      /(more than|less than|not surely more or less than) Distilled \(/,
    );
    assert.equal(await page.control("difference-distilled").count(), 0);
  });
});
