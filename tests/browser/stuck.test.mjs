// Nothing stays stuck: the store is closed under an open page, the engine hangs or ends without a word, a
// link names a pair that isn't there.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, QUICK, cellNames, eventually } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 3 * 60_000;
const ENGINE = "/start_engine.js";
const CELLS = cellNames(["distilled"], 2);
const RECIPE = { ...QUICK, "seed-count": 2, "distilled-steps": 4 };

/** Before the engine's own code, in the first worker alone. Workers share nothing but the browser's stores. */
const IN_FIRST_WORKER = (act) => `
const isFirstWorker = !(await caches.has("stuck-test"));
await caches.open("stuck-test");
const post = self.postMessage;
let steps = 0;
self.postMessage = (message, ...rest) => {
  post.call(self, message, ...rest);
  const event = message?.Event?.Job?.event;
  steps += event?.Step === undefined ? 0 : 1;
  if (isFirstWorker) {
    ${act}
  }
};
`;
const HANG_IN_A_STEP = IN_FIRST_WORKER("if (steps === 3) { for (;;) {} }");
const END_WITHOUT_A_WORD = IN_FIRST_WORKER('if (event === "Done") { setTimeout(() => self.close(), 50); }');

/** Lets a test have so many of the page's seconds pass at once. */
const HURRY = () => {
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
};

const pass = (page, seconds) =>
  page.page.evaluate((seconds) => (globalThis.secondsAtOnce = seconds), seconds);

async function withBrokenEngine(act, run) {
  const engine = act + (await readFile(join(DIST, ENGINE), "utf8"));
  const prepare = async ({ server, page }) => {
    server.fault(ENGINE, { replaceBody: Buffer.from(engine) });
    await page.page.addInitScript(HURRY);
  };
  await withPage({ parameters: RECIPE, prepare, isFirstVisit: true }, run);
}

const waitForSteps = (page) =>
  eventually(async () => {
    const text = await page.statusText();
    assert.match(text, /Drawing/);
  });

test("an engine that hangs in a step is ended, and another one goes on", { timeout: TIMEOUT }, async () => {
  await withBrokenEngine(HANG_IN_A_STEP, async ({ page }) => {
    await page.pressGenerate();
    await waitForSteps(page);
    // Less than three minutes is no hang.
    await pass(page, 100);
    await page.page.waitForTimeout(1_500);
    assert.doesNotMatch(await page.statusText(), /not heard/);
    await pass(page, 181);
    await page.waitForStatus([/was not heard for .*goes on from the last steps/], TIMEOUT);
    await page.waitForDone(CELLS, TIMEOUT);
    assert.match(await page.statusText(), /^Done: 2 images/);
  });
});

test("Cancel ends an engine that hangs, and a new one draws", { timeout: TIMEOUT }, async () => {
  await withBrokenEngine(HANG_IN_A_STEP, async ({ page }) => {
    await page.pressGenerate();
    await waitForSteps(page);
    await page.page.waitForTimeout(500);
    await page.control("cancel").click();
    await page.waitForStatus([/Cancelling/], TIMEOUT);
    await pass(page, 91);
    await page.waitForStatus([/^Ready\./, /didn't answer Cancel/], TIMEOUT);
    const states = Object.values(await page.cellStates());
    assert.ok(!states.includes("failed"), `nothing has failed: ${states}`);
    await page.control("resume").click();
    await page.waitForDone(CELLS, TIMEOUT);
  });
});

test("an engine that ended without a word is noticed by the next run", { timeout: TIMEOUT }, async () => {
  await withBrokenEngine(END_WITHOUT_A_WORD, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(CELLS, TIMEOUT);
    await page.page.waitForTimeout(500);
    await page.control("seed").fill("9");
    await page.control("generate").click();
    await page.waitForStatus([/^Waiting for the engine/], TIMEOUT);
    await pass(page, 61);
    await page.page.waitForFunction(
      () => document.querySelector('[data-testid="cell-distilled-1"]')?.dataset.seed === "10",
      null,
      { timeout: TIMEOUT },
    );
    await page.waitForStatus([/^Done: 2 images/, /was not heard/], TIMEOUT);
  });
});

test("site data that is cleared under the page is fetched again, and the page draws on", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: RECIPE, isFirstVisit: true }, async ({ page, server }) => {
    await page.pressGenerate();
    await page.waitForDone(CELLS, TIMEOUT);
    const session = await page.page.context().newCDPSession(page.page);
    const clear = () =>
      session.send("Storage.clearDataForOrigin", {
        origin: new URL(server.url).origin,
        storageTypes: "all",
      });
    await clear();
    // Another seed needs nothing of the store, the base model does.
    await page.control("seed").fill("5");
    await page.pressGenerate();
    await page.waitForStatus([/^Done: 2 images/], TIMEOUT);
    await page.control("mode-base").check();
    await page.control("base-steps").fill("2");
    await page.pressGenerate();
    await page.waitForDone([...CELLS, ...cellNames(["base"], 2)], TIMEOUT);

    await clear();
    await page.control("models").click();
    const row = page.page.getByTestId("library-pair").first();
    await row.getByText(/Not in this browser/).waitFor({ timeout: 30_000 });
    await page.page.keyboard.press("Escape");
    await page.control("history").locator("summary").click();
    await page.control("history-size").getByText(/No runs yet/).waitFor({ timeout: 30_000 });
  });
});

test("a link to a pair that isn't there names it and opens the page's own", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, pair: "pairs/nothing.json", seed: 7 };
  const prepare = ({ browser }) => browser.expectProblem(/^Failed to load resource: /);
  await withPage({ parameters, prepare }, async ({ page }) => {
    await page.waitForStatus([/“pairs\/nothing\.json” can't be opened/, /404/, /Try that pair again/], TIMEOUT);
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: 60_000 });
    const empty = await page.page.evaluate(() =>
      [...document.querySelectorAll(".controls input[type=number]")]
        .filter((field) => field.value === "" || field.matches(":disabled"))
        .map((field) => field.id),
    );
    assert.deepEqual(empty, [], "no field stays empty and grey");
    assert.equal(await page.control("seed").inputValue(), "7");
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    assert.match(page.page.url(), /nothing\.json/, "the address stays until something is changed");
    await page.control("seed").fill("8");
    await page.page.waitForFunction(() => !location.hash.includes("nothing"));
  });
});
