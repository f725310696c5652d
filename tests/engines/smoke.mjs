// What every browser has to do with the page, on the CPU device: it opens, draws what diffusers draws,
// shows a strip, saves a picture and takes it back, reads its store after a reload and needs no network
// then. What the browser lacks, the page says.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

import { DIST, PAIR_PATH } from "../browser/page.mjs";
import { comparePicture, entries } from "../browser/pictures.mjs";
import { StaticServer } from "../browser/server.mjs";
import { wordsOutside } from "../browser/words.mjs";
import { eventually } from "./webdriver.mjs";

/** For a load of all weights on a machine with two cores and another build beside it. */
export const TIMEOUT = 5 * 60_000;
const SOON = 60_000;

// Both UNets, so that every file of the pair is needed.
const MODES = ["distilled", "hybrid"];
const PROMPT = "image of a dog face";
const SEED = 0;
const drawn = MODES.map((mode) =>
  entries.find(
    (entry) => entry.mode === mode && entry.prompt === PROMPT && entry.seed === SEED && !entry.options.pair,
  ),
);
const PARAMETERS = {
  ...drawn[0].options,
  prompt: PROMPT,
  seed: SEED,
  "seed-count": 1,
  modes: MODES.join(","),
};

const handle = (name) => `[data-testid="${name}"]`;

/** The page in a driven browser, by its data-testid handles. */
class DrivenPage {
  #session;

  constructor(session) {
    this.#session = session;
  }

  has(selector, timeout = SOON) {
    return eventually(
      `the page has ${selector}`,
      () => this.#session.run((selector) => document.querySelector(selector) !== null, selector),
      timeout,
    );
  }

  /** Presses a control. On a busy machine the layout may still move below the pointer: then it's pressed again. */
  async press(name) {
    await this.has(`${handle(name)}:not(:disabled)`);
    await eventually(
      `${name} is pressed`,
      async () => {
        await this.#session.click(handle(name));
        return true;
      },
      SOON,
    );
  }

  says(name, pattern, timeout = SOON) {
    return eventually(
      `${name} says ${pattern}`,
      async () => {
        const text = await this.text(handle(name));
        return pattern.test(text) && text;
      },
      timeout,
    );
  }

  text(selector) {
    return this.#session.run((selector) => document.querySelector(selector)?.innerText ?? "", selector);
  }

  /** Draws the grid anew and gives its pictures, by mode. */
  async draw() {
    await this.press("generate");
    const states = () =>
      this.#session.run(() =>
        [...document.querySelectorAll('[data-testid^="cell-"]')].map(({ dataset }) => dataset.state),
      );
    await eventually(
      "every cell is done",
      async () => {
        const found = await states();
        if (found.includes("failed")) {
          throw new Error(await this.text(handle("status")));
        }
        return found.length === MODES.length && found.every((state) => state === "done");
      },
      TIMEOUT,
    );
    return Promise.all(MODES.map((mode) => this.#image(mode)));
  }

  async #image(mode) {
    const image = await this.#session.run((selector) => {
      const cell = document.querySelector(selector);
      const canvas = cell.querySelector("canvas");
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
    }, handle(`cell-${mode}-0`));
    return { ...image, rgba: Buffer.from(image.rgba) };
  }
}

/** Empties the prompt, as if another one was to be typed. */
function clearPrompt(session) {
  return session.run((selector) => {
    const field = document.querySelector(selector);
    field.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, handle("prompt"));
}

/** Drops a file on the page. No driver has a hand for files: the events are made in the page. */
function drop(session, name, bytes) {
  return session.run(
    (name, base64) => {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([bytes], name, { type: "image/png" }));
      for (const kind of ["dragover", "drop"]) {
        const event = new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true });
        document.querySelector("main").dispatchEvent(event);
      }
    },
    name,
    bytes.toString("base64"),
  );
}

/** The file that a browser has stored in its folder of downloads. */
async function downloaded(folder) {
  const name = await eventually(
    "a picture is stored",
    // A file under way has another ending, or an empty one beside it.
    async () => {
      const names = await readdir(folder);
      return names.length === 1 && names[0].endsWith(".png") && names[0];
    },
    SOON,
  );
  return eventually(
    "the picture is whole",
    async () => {
      const bytes = await readFile(join(folder, name));
      return bytes.subarray(-8, -4).toString("latin1") === "IEND" && { path: join(folder, name), name, bytes };
    },
    SOON,
  );
}

/** Whatever this browser can't do, the page says in a sentence. */
async function assertLacksAreSaid(t, session, page) {
  const has = await session.run(() => ({
    webgpu: navigator.gpu !== undefined,
    estimate: navigator.storage?.estimate !== undefined,
    persist: navigator.storage?.persist !== undefined,
  }));
  t.diagnostic(`${await session.run(() => navigator.userAgent)}: ${JSON.stringify(has)}`);
  assert.equal(
    await session.run((selector) => document.querySelector(selector).dataset.device, handle("device")),
    "cpu",
  );
  if (!has.webgpu) {
    assert.match(await page.text(".page-header .notice"), /no WebGPU .*run on the CPU/);
  }
  await session.click(".page-header [aria-haspopup=dialog]");
  const storage = await page.says("storage", /\./);
  if (!has.estimate) {
    assert.match(storage, /doesn't say how much is used/);
  }
  if (!has.persist) {
    await page.press("keep");
    await page.says("storage", /doesn't make such promises/);
  }
  await page.press("library-close");
}

/** Letters are as wide as each system has them: the row of buttons holds its words at every width. */
async function assertWordsFit(session) {
  for (const width of [240, 288, 320, 480, null]) {
    await session.run((width) => {
      document.querySelector(".actions").style.inlineSize = width === null ? "" : `${width}px`;
    }, width);
    const outside = await session.run(wordsOutside, ".actions button");
    assert.deepEqual(outside, [], `the row of ${width ?? "as many as it has"} pixels`);
  }
}

/**
 * Does all of it in one browser.
 *
 * @param {import("node:test").TestContext} t
 * @param {(run: (tools: {session: import("./webdriver.mjs").Session, downloads: string}) =>
 *   Promise<void>) => Promise<void>} withEngine starts and ends the browser
 */
export async function smoke(t, withEngine) {
  const server = await StaticServer.start(DIST);
  let isServed = true;
  const endServer = async () => {
    isServed = false;
    await server.close();
  };
  try {
    await withEngine(async ({ session, downloads }) => {
      const page = new DrivenPage(session);
      await session.resize(1280, 900);
      // A browser with WebGPU would draw on it: this is about the CPU device.
      const device = (await session.run(() => navigator.gpu === undefined)) ? {} : { device: "cpu" };
      await session.open(`${server.url}#${new URLSearchParams({ ...PARAMETERS, ...device })}`);
      await page.has(`${handle("seed-count")}:enabled`);
      const pictures = await page.draw();
      for (const [index, entry] of drawn.entries()) {
        await comparePicture(t, entry, pictures[index], "cpu");
      }
      await assertWordsFit(session);
      await assertLacksAreSaid(t, session, page);

      await page.press("cell-hybrid-0");
      const steps = Number(PARAMETERS["distilled-steps"]);
      await page.has(`${handle(`strip-a-frame-${steps}`)} canvas`);
      await page.press("strip-a-save-image");
      const file = await downloaded(downloads);
      assert.equal(file.name, "firststep-image-of-a-dog-face-hybrid-seed-0.png");

      await eventually(
        "the page is kept",
        () => session.run(() => navigator.serviceWorker.controller !== null),
        TIMEOUT,
      );
      const before = server.requests.length;
      await session.reload();
      assert.deepEqual(await page.draw(), pictures, "a reload draws the same");
      const weights = server.requests
        .slice(before)
        .map(({ path }) => path)
        .filter((path) => path.startsWith(PAIR_PATH) && !path.endsWith(".json"));
      assert.deepEqual(weights, [], "the weights come from the store");

      await endServer();
      await session.reload();
      assert.deepEqual(await page.draw(), pictures, "without a network too");

      const comesBack = async (bring) => {
        await clearPrompt(session);
        await page.says("opened", /^$/);
        await bring();
        await page.says("opened", new RegExp(`${file.name}.*press Generate`));
        const prompt = await session.run((selector) => document.querySelector(selector).value, handle("prompt"));
        assert.equal(prompt, PROMPT);
      };
      await comesBack(() => drop(session, file.name, file.bytes));
      await session.reload();
      await page.has(`${handle("seed-count")}:enabled`);
      await comesBack(() => session.type(handle("open-picture"), file.path));
    });
  } finally {
    if (isServed) {
      await server.close();
    }
  }
}
