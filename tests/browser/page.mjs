// The page as a visitor meets it, by its data-testid handles.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The folder with the built page; DIST names another one. */
export const DIST = resolve(
  process.env.DIST ?? fileURLToPath(new URL("../../target/test-page", import.meta.url)),
);

/** Where the bundled pair lies on the server. */
export const PAIR_PATH = "/pairs/emoji/";

/** A page has this long to load its program and the pair's manifest, on two cores that others use too. */
const START_TIMEOUT = 180_000;

/**
 * Recipe of a run that ends soon: two steps of the distilled model on the CPU device.
 */
export const QUICK = Object.freeze({
  prompt: "a red heart",
  seed: 1,
  "seed-count": 1,
  modes: "distilled",
  "distilled-steps": 2,
  // Whatever the pair opens with.
  "hybrid-base-steps": 1,
  device: "cpu",
});

/** Names of the grid's cells, row by row. */
export function cellNames(modes, seedCount) {
  return modes.flatMap((mode) =>
    Array.from({ length: seedCount }, (_, column) => `cell-${mode}-${column}`),
  );
}

export class FirststepPage {
  /** Playwright's page, for what the handles don't cover. */
  page;
  #address;

  constructor(page, address) {
    this.page = page;
    this.#address = address;
  }

  /** Loads the page anew with these parameters after the `#`. */
  async open(parameters) {
    const hash = Object.entries(parameters)
      .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
      .join("&");
    // From the same address a new hash alone would not load anything.
    await this.page.goto("about:blank");
    await this.page.goto(`${this.#address}#${hash}`);
    await this.control("prompt").waitFor({ timeout: START_TIMEOUT });
  }

  /** Loads the same address again. */
  async reload() {
    await this.page.reload();
    await this.control("prompt").waitFor({ timeout: START_TIMEOUT });
  }

  /** Waits until the service worker has fetched what it keeps: it makes no requests afterwards. */
  async waitUntilKept() {
    await this.page.waitForFunction(() => navigator.serviceWorker.controller !== null, null, {
      timeout: START_TIMEOUT,
    });
  }

  control(name) {
    return this.page.getByTestId(name);
  }

  cell(mode, column) {
    return this.page.getByTestId(`cell-${mode}-${column}`);
  }

  /**
   * Starts a run. What an earlier run left as failed has to go before anything is waited for, and a grid
   * that is done stays on show until the engine begins the next one: it is none to wait for.
   */
  async pressGenerate() {
    await this.page.evaluate(() => {
      const table = document.querySelector("table.grid");
      const cells = [...(table?.querySelectorAll('[data-testid^="cell-"]') ?? [])];
      const isDone = cells.length > 0 && cells.every((cell) => cell.dataset.state === "done");
      window.earlierJob = isDone ? table.dataset.job : undefined;
    });
    await this.control("generate").click({ timeout: START_TIMEOUT });
    await this.page
      .locator('[data-testid^="cell-"][data-state="failed"]')
      .first()
      .waitFor({ state: "detached", timeout: START_TIMEOUT });
  }

  async statusText() {
    return (await this.control("status").innerText()).trim();
  }

  /** Waits until the status matches every pattern. */
  async waitForStatus(patterns, timeout) {
    try {
      await this.page.waitForFunction(
        (patterns) => {
          const status = document.querySelector('[data-testid="status"]');
          return patterns.every(({ source, flags }) =>
            new RegExp(source, flags).test(status?.innerText ?? ""),
          );
        },
        patterns.map(({ source, flags }) => ({ source, flags })),
        { polling: 50, timeout },
      );
    } catch (error) {
      throw new Error(
        `the status should match ${patterns.join(" and ")}, but is "${await this.statusText()}"`,
        { cause: error },
      );
    }
  }

  /** Waits until each of these cells is done; a failed one, or the end of the time, is an error. */
  async waitForDone(names, timeout) {
    const outcome = await this.page
      .waitForFunction(
        (names) => {
          const shown = document.querySelector("table.grid");
          const grid = shown?.dataset.job === window.earlierJob ? undefined : shown;
          const states = names.map(
            (name) => grid?.querySelector(`[data-testid="${name}"]`)?.dataset.state ?? "absent",
          );
          if (states.includes("failed")) {
            return "failed";
          }
          return states.every((state) => state === "done") ? "done" : false;
        },
        names,
        { polling: 100, timeout },
      )
      .then((handle) => handle.jsonValue())
      .catch((error) => error.message);
    if (outcome !== "done") {
      const states = await this.cellStates();
      throw new Error(
        `not every cell got done (${outcome}): ${JSON.stringify(states)}; ` +
          `the status is "${await this.statusText()}"`,
      );
    }
  }

  /** The state of every cell of the grid on show, by name. */
  async cellStates() {
    return this.page.evaluate(() =>
      Object.fromEntries(
        [...document.querySelectorAll('[data-testid^="cell-"]')].map((cell) => [
          cell.dataset.testid,
          cell.dataset.state,
        ]),
      ),
    );
  }

  /**
   * The image of a cell that is done.
   *
   * @returns {Promise<{seed: number, width: number, height: number, rgba: Buffer}>}
   */
  async image(mode, column) {
    const image = await this.cell(mode, column).evaluate((cell) => {
      const canvas = cell.querySelector("canvas");
      // Read from a copy: reading slows the canvas itself down, and Chromium warns of it.
      const copy = new OffscreenCanvas(canvas.width, canvas.height);
      const context = copy.getContext("2d", { willReadFrequently: true });
      context.drawImage(canvas, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
      return {
        seed: Number(cell.dataset.seed),
        width: canvas.width,
        height: canvas.height,
        rgba: Array.from(data),
      };
    });
    return { ...image, rgba: Buffer.from(image.rgba) };
  }
}

/**
 * Waits until `check` throws no more, and gives what it gives. After `timeout` its own error is the
 * test's.
 */
export async function eventually(check, timeout = 60_000) {
  const end = performance.now() + timeout;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > end) {
        throw error;
      }
    }
    await delay(100);
  }
}

/** Root of the mean squared difference of red, green and blue, of 255. */
export function rootMeanSquareError(rgba, expected) {
  assert.equal(rgba.length, expected.length, "both pictures have to be of one size");
  let sum = 0;
  for (let index = 0; index < rgba.length; index += 1) {
    if (index % 4 !== 3) {
      sum += (rgba[index] - expected[index]) ** 2;
    }
  }
  return Math.sqrt(sum / ((rgba.length / 4) * 3));
}
