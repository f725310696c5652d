// The small pair on a hub, and the Models panel by its data-testid handles.

import { smallPair } from "./hub_files.mjs";

/** The small pair's address on the page, and that of a second one that shares the base with it. */
export const SMALL = "pairs/small.json";
export const SECOND = "pairs/second.json";

const TIMEOUT = 60_000;

/** How the small pair's tensors are stored: some of every encoding. */
export const ENCODINGS = [
  { tensors: "conv_in.*", encoding: "f16" },
  { tensors: "*norm*", encoding: "f32" },
  { tensors: "*.conv*.weight", encoding: "q8" },
  { tensors: "*.attentions.*.weight", encoding: "q4" },
];

/** Serves manifests as the page's own, beside the emoji pairs. */
export function offer(server, hub, manifests) {
  const serve = (path, json) =>
    server.fault(`/${path}`, { replaceBody: Buffer.from(JSON.stringify(json)) });
  for (const [address, manifest] of Object.entries(manifests)) {
    serve(address, manifest);
  }
  const paths = Object.keys(manifests).map((address) => address.replace("pairs/", ""));
  serve("pairs/index.json", {
    hub: hub.url,
    pairs: [
      { manifest: "emoji/manifest.json", bundled: true },
      ...paths.map((manifest) => ({ manifest })),
    ],
  });
}

/** The small pair's manifest, with tensors that are encoded as they arrive. */
export async function encodedPair(hub, options) {
  const manifest = await smallPair(hub, options);
  manifest.components.unet.encodings = ENCODINGS;
  if (manifest.components.unet_distilled.adapter_on === undefined) {
    manifest.components.unet_distilled.encodings = ENCODINGS;
  }
  return manifest;
}

/** The Models panel. */
export class LibraryPanel {
  #page;

  constructor(page) {
    this.#page = page;
  }

  async open() {
    if (!(await this.#page.control("library").isVisible())) {
      await this.#page.control("models").click({ timeout: TIMEOUT });
    }
    await this.#page.control("library-pair").first().waitFor({ timeout: TIMEOUT });
  }

  row(address) {
    return this.#page.page.locator(`[data-testid="library-pair"][data-address="${address}"]`);
  }

  /** Waits until the row has this state or phase. */
  async waitFor(address, { state, phase }, timeout = TIMEOUT) {
    const wanted =
      (state === undefined ? "" : `[data-state="${state}"]`) +
      (phase === undefined ? "" : `[data-phase="${phase}"]`);
    const row = `[data-testid="library-pair"][data-address="${address}"]${wanted}`;
    try {
      await this.#page.page.locator(row).waitFor({ state: "attached", timeout });
    } catch (error) {
      throw new Error(
        `${address} should get ${wanted}, but is ${await this.describe(address)}; the panel says ` +
          JSON.stringify(await this.sentences()),
        { cause: error },
      );
    }
  }

  async describe(address) {
    return this.row(address).evaluate((row) => `${row.dataset.state}, ${row.dataset.phase}`);
  }

  /** Opens the pre-flight of a pair; its verdict. */
  async check(address) {
    await this.open();
    await this.row(address).getByTestId("load").click({ timeout: TIMEOUT });
    const preflight = this.#page.page.locator('[data-testid="preflight"][data-verdict]');
    await preflight.waitFor({ timeout: TIMEOUT });
    return preflight.getAttribute("data-verdict");
  }

  /**
   * Starts the load, or goes on with one that was begun: after the pre-flight, with every licence
   * accepted, where the page asks for that.
   */
  async start(address) {
    await this.open();
    const label = await this.row(address).getByTestId("load").innerText();
    if (!/download/i.test(label)) {
      await this.row(address).getByTestId("load").click();
      return;
    }
    await this.check(address);
    for (const licence of await this.#page.page.getByTestId("accept-licence").all()) {
      await licence.check();
    }
    await this.#page.control("start-load").click({ timeout: TIMEOUT });
  }

  async load(address, timeout) {
    await this.start(address);
    await this.waitFor(address, { state: "complete", phase: "idle" }, timeout);
  }

  /** Every sentence that the panel shows of what happened. */
  async sentences() {
    return this.#page.page
      .locator('[data-testid="library-notice"] li, [data-testid="library-problem"]')
      .allInnerTexts();
  }

  async waitForSentence(pattern, timeout = TIMEOUT) {
    const end = Date.now() + timeout;
    for (;;) {
      const sentences = await this.sentences();
      if (sentences.some((text) => pattern.test(text))) {
        return;
      }
      if (Date.now() > end) {
        throw new Error(`no sentence matches ${pattern}: ${JSON.stringify(sentences)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/**
 * What lies in the store: SHA-256 of every record's bytes by its key, and the ids of the complete
 * files and of those that have begun.
 */
export async function readStore(page) {
  return page.page.evaluate(async () => {
    const database = await new Promise((resolve, reject) => {
      const request = indexedDB.open("firststep");
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const ask = (store, method) =>
      new Promise((resolve, reject) => {
        const request = database.transaction(store).objectStore(store)[method]();
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    try {
      const keys = await ask("tensors", "getAllKeys");
      const values = await ask("tensors", "getAll");
      const records = {};
      for (const [index, key] of keys.entries()) {
        const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", values[index].bytes));
        records[key] = [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      }
      return {
        records,
        complete: await ask("files", "getAllKeys"),
        begun: await ask("progress", "getAllKeys"),
      };
    } finally {
      database.close();
    }
  });
}
