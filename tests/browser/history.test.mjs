// The history of runs: kept by this browser, searched, opened and deleted, and bounded.

import assert from "node:assert/strict";
import { test } from "node:test";

import { QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const DATABASE = "firststep-history";
const MAXIMUM_ENTRIES = 100;
const SHOWN_AT_ONCE = 20;

async function draw(page) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
}

/** Draws with another prompt, and waits until the grid on show is of it. */
async function drawAnother(page, prompt) {
  await page.control("prompt").fill(prompt);
  await page.pressGenerate();
  await page.page.waitForFunction(
    (prompt) => document.querySelector(".grid caption")?.innerText.includes(`“${prompt}”`),
    prompt,
    { timeout: TIMEOUT },
  );
  await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
}

const openHistory = (page) => page.control("history").locator("summary").click();

/** Waits until these prompts are listed, from the top. */
async function waitForPrompts(page, prompts) {
  await page.page
    .waitForFunction(
      (prompts) => {
        const shown = [...document.querySelectorAll(".history-prompt")].map((it) => it.innerText);
        return JSON.stringify(shown) === JSON.stringify(prompts);
      },
      prompts,
      { timeout: 30_000 },
    )
    .catch(async (error) => {
      const shown = await page.page.locator(".history-prompt").allInnerTexts();
      throw new Error(`listed are ${JSON.stringify(shown)}, not ${JSON.stringify(prompts)}`, {
        cause: error,
      });
    });
}

const waitForSize = (page, pattern) =>
  page.page.waitForFunction(
    ({ source }) =>
      new RegExp(source).test(
        document.querySelector('[data-testid="history-size"]')?.innerText ?? "",
      ),
    { source: pattern.source },
    { timeout: 30_000 },
  );

test(
  "runs are kept over a reload, found, opened without drawing, and deleted",
  { timeout: 2 * TIMEOUT },
  async () => {
    await withPage({ parameters: QUICK }, async ({ page }) => {
      await openHistory(page);
      await waitForSize(page, /^No runs yet/);
      await draw(page);
      // Listed while the panel is open.
      await waitForPrompts(page, ["a red heart"]);
      await drawAnother(page, "a blue fish");
      await waitForPrompts(page, ["a blue fish", "a red heart"]);
      // The same recipe is the same run, drawn again.
      await drawAnother(page, "a red heart");
      await waitForPrompts(page, ["a red heart", "a blue fish"]);

      await page.reload();
      assert.equal(await page.control("history-entry").count(), 0, "listed when it is opened");
      await openHistory(page);
      await waitForPrompts(page, ["a red heart", "a blue fish"]);
      await waitForSize(page, /^2 runs, 3\d kB of this browser's storage; the last 100 are kept\.$/);
      const strips = await page.page
        .locator(".history-entry canvas")
        .evaluateAll((canvases) => canvases.map(({ width, height }) => [width, height]));
      assert.deepEqual(strips, [
        [64, 64],
        [64, 64],
      ]);

      await page.control("history-search").fill("FISH dist");
      await waitForPrompts(page, ["a blue fish"]);
      await page.control("history-search").press("Enter");
      await page.control("history-search").fill("fish hybrid");
      await waitForPrompts(page, []);
      await page.control("history-search").press("Escape");
      await waitForPrompts(page, ["a red heart", "a blue fish"]);

      await page.control("seed").fill("77");
      await page.control("distilled-steps").fill("9");
      await page.control("history-open").nth(1).click();
      await page.page.waitForFunction(() => /[#&]prompt=a(\+|%20)blue/.test(location.hash));
      assert.equal(await page.control("prompt").inputValue(), "a blue fish");
      assert.equal(await page.control("seed").inputValue(), "1");
      assert.equal(await page.control("distilled-steps").inputValue(), "2");
      assert.match(await page.page.evaluate(() => location.hash), /device=cpu/);
      assert.deepEqual(await page.cellStates(), {}, "nothing is drawn by itself");

      await page.control("history-delete").first().focus();
      await page.page.keyboard.press("Enter");
      await waitForPrompts(page, ["a blue fish"]);
      assert.equal(
        await page.page.evaluate(() => document.activeElement?.dataset.testid),
        "history-delete",
        "the focus goes to the next run",
      );
      await page.control("history-clear").click();
      await page.control("history-keep").click();
      await waitForPrompts(page, ["a blue fish"]);
      await page.control("history-clear").click();
      await page.control("history-clear-confirm").click();
      await waitForPrompts(page, []);
      await waitForSize(page, /^No runs yet/);
      await page.reload();
      await openHistory(page);
      await waitForSize(page, /^No runs yet/);
    });
  },
);

/** Puts copies of the one run into the store, with other prompts and older dates. */
function addOlderRuns(page, number) {
  return page.page.evaluate(
    ({ name, number }) =>
      new Promise((resolve, reject) => {
        const open = indexedDB.open(name);
        open.onerror = () => reject(open.error);
        open.onsuccess = () => {
          const database = open.result;
          const stores = ["runs", "thumbnails"];
          const transaction = database.transaction(stores, "readwrite");
          const [runs, thumbnails] = stores.map((store) => transaction.objectStore(store));
          runs.openCursor().onsuccess = ({ target: { result: run } }) => {
            thumbnails.get(run.key).onsuccess = ({ target: { result: pictures } }) => {
              for (let index = 0; index < number; index += 1) {
                const key = run.key.replace("a red heart", `run ${index}`);
                runs.put({ ...run.value, drawn_at: 1000 + index }, key);
                thumbnails.put(pictures, key);
              }
              // Of a later version, and no run at all.
              runs.put(run.value, run.key.replace('"version":1', '"version":2'));
              runs.put("nonsense", run.key.replace("a red heart", "damaged"));
            };
          };
          transaction.onabort = () => reject(transaction.error);
          transaction.oncomplete = () => {
            database.close();
            resolve();
          };
        };
      }),
    { name: DATABASE, number },
  );
}

/** The number of records in the two stores. */
function countRecords(page) {
  return page.page.evaluate(
    (name) =>
      new Promise((resolve, reject) => {
        const open = indexedDB.open(name);
        open.onerror = () => reject(open.error);
        open.onsuccess = () => {
          const database = open.result;
          const transaction = database.transaction(["runs", "thumbnails"]);
          const counts = ["runs", "thumbnails"].map((store) =>
            transaction.objectStore(store).count(),
          );
          transaction.oncomplete = () => {
            database.close();
            resolve(counts.map(({ result }) => result));
          };
        };
      }),
    DATABASE,
  );
}

test(
  "a hundred runs are kept, and records that can't be read go",
  { timeout: 2 * TIMEOUT },
  async () => {
    await withPage({ parameters: QUICK }, async ({ page }) => {
      await draw(page);
      await page.page.waitForFunction(
        async (name) => (await indexedDB.databases()).some((database) => database.name === name),
        DATABASE,
      );
      await addOlderRuns(page, MAXIMUM_ENTRIES - 1);
      await openHistory(page);
      await waitForSize(page, /^100 runs/);
      assert.deepEqual(await countRecords(page), [MAXIMUM_ENTRIES, MAXIMUM_ENTRIES]);
      assert.equal(await page.control("history-entry").count(), SHOWN_AT_ONCE);
      await page.control("history-more").click();
      assert.equal(await page.control("history-entry").count(), 2 * SHOWN_AT_ONCE);

      await drawAnother(page, "a green apple");
      await page.page.waitForFunction(
        () => document.querySelector(".history-prompt")?.innerText === "a green apple",
      );
      await waitForSize(page, /^100 runs, \d+\.\d MB/);
      assert.deepEqual(await countRecords(page), [MAXIMUM_ENTRIES, MAXIMUM_ENTRIES]);
      // Each word by itself: 90, 80 and so on, while the oldest has gone.
      await page.control("history-search").fill("run 0");
      await waitForPrompts(page, [9, 8, 7, 6, 5, 4, 3, 2, 1].map((ten) => `run ${ten}0`));
    });
  },
);

test("a browser that stores nothing says so once and draws", { timeout: TIMEOUT }, async () => {
  const loader = `
    Object.defineProperty(self, "indexedDB", { value: undefined });
    const { default: init } = await import("./worker.js");
    const wasm = await init();
    wasm.__wasm_call_ctors();
  `;
  const prepare = ({ server }) =>
    server.fault("/start_engine.js", { replaceBody: Buffer.from(loader) });
  await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page }) => {
    await draw(page);
    await page.waitForStatus([/^Done: 1 image/], 30_000);
    assert.equal((await page.statusText()).match(/private windows/g)?.length, 1);
    await openHistory(page);
    await page.control("history-problem").waitFor({ timeout: 30_000 });
    assert.match(
      await page.control("history-problem").innerText(),
      /doesn't let the page keep a history/,
    );
  });
});
