// Pairs that the visitor gives: a hub's repository, two of them, a checkpoint, a manifest; and what
// arrives is to the bit what native code makes of the same file.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { DISTILLED, SHARED, smallModels } from "./hub_files.mjs";
import { SMALL, encodedPair, offer, readStore } from "./library.mjs";
import { cellNames } from "./page.mjs";
import { withLibrary } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const BASE = SHARED.unet.repository;
const LORA = DISTILLED["lcm-lora"];
const TEMPLATE = "pairs/sdxl-dmd2-lora.json";
const VALUES = new URL("../parity/values/quantization/", import.meta.url);

/** @type {string} */
let models;

before(async () => {
  models = await smallModels();
});

after(() => rm(models, { recursive: true, force: true }));

/** Offers the small pair with an adapter where the page looks for what a given base lacks. */
async function prepareTemplate({ hub, server, manifest }) {
  const template = await encodedPair(hub, { distilled: "dmd2-lora" });
  template.licences_to_accept = [{ name: "CC0-1.0", url: template.licence.url }];
  offer(server, hub, { [SMALL]: manifest, [TEMPLATE]: template });
}

/** Adds what is typed; the address that it gets. */
async function add({ page, library }, text) {
  await library.open();
  await page.control("add-pair-text").fill(text);
  await page.control("add-pair").click();
  const row = page.page.locator('[data-testid="library-pair"][data-address^="added/"]');
  await row.first().waitFor({ timeout: TIMEOUT });
  return row.first().getAttribute("data-address");
}

/** The records of one file by their tensors' names. */
function recordsOf({ records }, id) {
  const own = Object.entries(records).filter(([key]) => key.startsWith(`${id}/`));
  return Object.fromEntries(own.map(([key, hash]) => [key.slice(id.length + 1), hash]));
}

/** The file whose records have this one. */
function fileWith({ records, complete }, name) {
  return complete.find((id) => `${id}/${name}` in records);
}

test("a hub's repository becomes the base of a pair that draws", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models, prepare: prepareTemplate }, async (tools) => {
    const { page, library } = tools;
    const address = await add(tools, BASE);
    await library.load(address);
    await library.row(address).getByTestId("use").click();
    await page.page.locator(".facts dd", { hasText: BASE }).waitFor({ timeout: TIMEOUT });
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
    await page.control("seed-count").fill("1");
    await page.pressGenerate();
    await page.waitForDone(cellNames(["base", "distilled", "hybrid"], 1), TIMEOUT);
  });
});

test("a checkpoint's tensors are those of the repository's files", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models, prepare: prepareTemplate }, async (tools) => {
    const { hub, page, library } = tools;
    await library.load(SMALL);
    const files = await readStore(page);
    const address = await add(tools, hub.resolveUrl(BASE, "sd_xl_base_1.0.safetensors"));
    await library.load(address);
    const store = await readStore(page);
    const checkpoint = recordsOf(store, fileWith(store, "unet.conv_in.weight"));
    for (const [component, name] of [
      ["unet", "conv_in.weight"],
      ["text_encoder_2", "text_projection.weight"],
    ]) {
      const records = recordsOf(files, fileWith(files, name));
      delete records[""];
      assert.ok(Object.keys(records).length > 10);
      for (const [name, hash] of Object.entries(records)) {
        assert.equal(checkpoint[`${component}.${name}`], hash, `${component}.${name}`);
      }
    }
  });
});

test("what can't be a pair is a sentence, and nothing is added", { timeout: TIMEOUT }, async () => {
  const prepare = async (tools) => {
    await prepareTemplate(tools);
    tools.browser.expectProblem(/Failed to load resource/);
    tools.hub.refuse("form/filled", 401, "GatedRepo");
    tools.hub.refuse("mine/own", 401, "RepoNotFound");
    await mkdir(join(models, "static"), { recursive: true });
    await writeFile(join(models, "static/page.safetensors"), "<!doctype html><title>Not found</title>");
  };
  await withLibrary({ models, prepare }, async ({ hub, page, library }) => {
    await library.open();
    for (const [text, says] of [
      ["not a repository", /neither a hub's repository/],
      ["nobody/nothing", /404/],
      [hub.resolveUrl(BASE, SHARED.unet.path), /no single-file SDXL checkpoint, but a UNet alone/],
      [hub.resolveUrl(LORA.repository, LORA.path), /a LoRA or another adapter/],
      [hub.staticUrl("page.safetensors"), /web page/],
      ["form/filled", /gated/],
      ["mine/own", /private or gated/],
      [`${BASE}@v9`, /no branch, tag or commit v9/],
    ]) {
      await page.control("add-pair-text").fill(text);
      await page.control("add-pair").click();
      await library.waitForSentence(says);
    }
    assert.equal(await page.page.locator('[data-address^="added/"]').count(), 0);
  });
});

test("a hub's pages, renamed and busy, lead to the model", { timeout: TIMEOUT }, async () => {
  const prepare = async (tools) => {
    await prepareTemplate(tools);
    tools.browser.expectProblem(/Failed to load resource/);
    tools.hub.rename("earlier/name", BASE);
    tools.hub.setPageLength(3);
    tools.hub.fault(BASE, { kind: "status", status: 503, retryAfter: 0, times: 2, route: "api" });
    tools.hub.fault(`${BASE}/unet/config.json`, { kind: "status", status: 429, retryAfter: 0 });
  };
  await withLibrary({ models, prepare }, async (tools) => {
    const address = await add(tools, `${tools.hub.url}earlier/name/tree/main/unet`);
    const row = tools.library.row(address);
    assert.match(await row.innerText(), new RegExp(BASE));
  });
});

test("a LoRA beside a base has a strength, and says what is left out", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models, prepare: prepareTemplate }, async (tools) => {
    const address = await add(tools, `${BASE} + ${LORA.repository} * 0.7`);
    const text = await tools.library.row(address).innerText();
    assert.match(text, /at a strength of 0\.7/);
  });
});

test("a checkpoint on the disk is stored as one of the hub's is", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models, prepare: prepareTemplate }, async (tools) => {
    const { hub, page, library } = tools;
    const url = hub.resolveUrl(BASE, "sd_xl_base_1.0.safetensors");
    const there = await add(tools, url);
    await library.load(there, TIMEOUT);
    const loaded = await readStore(page);
    const checkpoint = recordsOf(loaded, fileWith(loaded, "unet.conv_in.weight"));
    const sent = hub.bytesOf(`${BASE}/sd_xl_base_1.0.safetensors`);

    await library.open();
    await page.control("add-pair-models").setInputFiles(join(models, BASE, "sd_xl_base_1.0.safetensors"));
    const others = `[data-testid="library-pair"][data-address^="added/"]:not([data-address="${there}"])`;
    const row = page.page.locator(others);
    await row.waitFor({ timeout: TIMEOUT });
    const here = await row.getAttribute("data-address");
    await library.load(here, TIMEOUT);
    const store = await readStore(page);
    const complete = store.complete.filter((id) => !loaded.complete.includes(id));
    assert.deepEqual(recordsOf(store, fileWith({ ...store, complete }, "unet.conv_in.weight")), checkpoint);
    assert.equal(hub.bytesOf(`${BASE}/sd_xl_base_1.0.safetensors`), sent, "nothing was fetched again");
  });
});

test("a manifest file is taken up", { timeout: TIMEOUT }, async () => {
  await withLibrary({ models }, async ({ page, library, manifest, server }) => {
    const given = structuredClone(manifest);
    given.name = "Given by hand";
    for (const name of ["tokenizer", "tokenizer_2"]) {
      for (const file of given.components[name].files) {
        file.url = `${server.url}pairs/${file.path}`;
      }
    }
    await library.open();
    await page.control("add-pair-file").setInputFiles({
      name: "mine.json",
      mimeType: "application/json",
      buffer: Buffer.from(JSON.stringify(given)),
    });
    const row = page.page.locator('[data-testid="library-pair"][data-address^="added/"]');
    await row.waitFor({ timeout: TIMEOUT });
    assert.match(await row.innerText(), /Given by hand/);
  });
});

test("the browser stores the bits that native code makes", { timeout: TIMEOUT }, async () => {
  const source = await readFile(new URL("source.safetensors", VALUES));
  const { sha256: expected } = JSON.parse(await readFile(new URL("expected.json", VALUES), "utf8"));
  const encodings = ["f32", "f16", "q8", "q4"];
  const address = (encoding) => `pairs/as-${encoding}.json`;
  const prepare = ({ hub, server, manifest }) => {
    const file = {
      path: "source.safetensors",
      size: source.length,
      sha256: createHash("sha256").update(source).digest("hex"),
    };
    const manifests = encodings.map((encoding) => {
      const copy = structuredClone(manifest);
      copy.name = encoding;
      copy.components.unet.files = [file];
      copy.components.unet.encodings = [{ tensors: "*", encoding }];
      return [address(encoding), copy];
    });
    offer(server, hub, Object.fromEntries(manifests));
    server.fault("/pairs/source.safetensors", { replaceBody: source });
  };
  await withLibrary({ models, prepare }, async ({ page, library }) => {
    let known = new Set();
    for (const encoding of encodings) {
      await library.load(address(encoding));
      const store = await readStore(page);
      const names = Object.keys(expected);
      const id = store.complete.find((id) => !known.has(id) && `${id}/${names[0]}` in store.records);
      known = new Set(store.complete);
      const records = recordsOf(store, id);
      const compared = names.filter((name) => expected[name][encoding] !== undefined);
      assert.ok(compared.length > 0, encoding);
      for (const name of compared) {
        assert.equal(records[name], expected[name][encoding], `${name} as ${encoding}`);
      }
    }
  });
});
