// How long the page's own thread is busy at a stretch while the worker draws: a task over 50 ms is a
// "long task" to the browser, and delays whatever the visitor does meanwhile.

import { cellNames, FirststepPage, QUICK } from "../tests/browser/page.mjs";
import { bundled } from "./adapters.mjs";
import { bringAdapter } from "./step_time.mjs";

const TIMEOUT = 20 * 60_000;
const MODES = ["base", "distilled", "hybrid", "skip"];
const SEEDS = 8;
const STRIP_STEPS = { "base-steps": 50, "distilled-steps": 4 };
/** How long a strip is watched while it plays. */
const PLAYING_MILLISECONDS = 2_000;
/** Places of a slider that is dragged. */
const SLIDER_MOVES = 50;

/** Notes the page thread's long tasks from the start on. */
function noteLongTasks() {
  globalThis.longTasks = [];
  new PerformanceObserver((list) => {
    globalThis.longTasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ type: "longtask", buffered: true });
}

/** Milliseconds of each long task while `act` runs. */
async function longTasksOf(page, act) {
  await page.page.evaluate(() => {
    globalThis.longTasks.length = 0;
  });
  await act();
  return page.page.evaluate(() => globalThis.longTasks);
}

async function openPage(browser, server, parameters) {
  const page = new FirststepPage(await browser.newPage(), server.url);
  await page.page.addInitScript(noteLongTasks);
  await page.open({ ...QUICK, ...parameters });
  return page;
}

/** Draws grids of 4 × 8 in turn; the first one loads the models. */
async function measureGrids(browser, server, count) {
  const parameters = { modes: MODES.join(","), "seed-count": SEEDS, "base-steps": 2 };
  const page = await openPage(browser, server, parameters);
  const found = [];
  for (let grid = 0; grid < count; grid += 1) {
    const seed = 1 + SEEDS * grid;
    await page.control("seed").fill(String(seed));
    await page.control("seed").blur();
    const tasks = await longTasksOf(page, async () => {
      await page.pressGenerate();
      // The base model's row is drawn last.
      const last = `[data-testid="cell-base-${SEEDS - 1}"][data-state="done"]`;
      await page.page
        .locator(`${last}[data-seed="${seed + SEEDS - 1}"]`)
        .waitFor({ timeout: TIMEOUT });
    });
    found.push({ what: `grid of 4 × 8, number ${grid + 1}`, tasks });
  }
  await page.page.close();
  return found;
}

/** Opens two strips with every view, and plays them. */
async function measureStrip(browser, server) {
  const page = await openPage(browser, server, { modes: "base,distilled", ...STRIP_STEPS });
  await page.pressGenerate();
  await page.waitForDone(cellNames(["base", "distilled"], 1), TIMEOUT);
  const tasks = await longTasksOf(page, async () => {
    await page.cell("base", 0).click();
    await page.control("strip-standard").check();
    await page.control("strip-a-frame-50").first().waitFor({ timeout: TIMEOUT });
    await page.control("strip-difference").check();
    await page.control("strip-play").click();
    await page.page.waitForTimeout(PLAYING_MILLISECONDS);
  });
  await page.page.close();
  return { what: "strips of 50 and 4 steps", tasks };
}

/** Drags an adapter's strength from one end to the other, while each move is drawn. */
async function measureSlider(browser, server) {
  const { path, use } = await bundled("ink");
  const page = await openPage(browser, server, { modes: MODES.slice(1).join(","), adapters: use });
  await bringAdapter(page, path);
  await page.pressGenerate();
  await page.waitForDone(cellNames(["skip"], 1), TIMEOUT);
  await page.control("adapters").evaluate((shelf) => {
    shelf.open = true;
  });
  await page.control("redraws").check();
  const slider = page.control("adapter-strength");
  await slider.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await slider.boundingBox();
  const tasks = await longTasksOf(page, async () => {
    await page.page.mouse.move(x + width / 2, y + height / 2);
    await page.page.mouse.down();
    for (let move = 0; move < SLIDER_MOVES; move += 1) {
      await page.page.mouse.move(x + (width * (move + 0.5)) / SLIDER_MOVES, y + height / 2);
      await page.page.waitForTimeout(50);
    }
    await page.page.mouse.up();
    await page.waitForDone(cellNames(["skip"], 1), TIMEOUT);
  });
  await page.page.close();
  return { what: `a strength, ${SLIDER_MOVES} moves`, tasks };
}

/**
 * The page thread's long tasks in milliseconds, by what the page did.
 *
 * @returns {Promise<{what: string, tasks: number[]}[]>}
 */
export async function measureLongTasks(browser, server) {
  const grids = await measureGrids(browser, server, 2);
  return [...grids, await measureStrip(browser, server), await measureSlider(browser, server)];
}
