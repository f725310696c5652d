// A family of pairs in one folder: choosing another loads what is new of it, and nothing else.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, PAIR_PATH, QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const OWN = `${PAIR_PATH}manifest.json`;
const RELATIVE = `${PAIR_PATH}relative.json`;
const ADAPTER = `${PAIR_PATH}adapter.safetensors`;
const MODES = ["base", "distilled"];
const PARAMETERS = { ...QUICK, modes: MODES.join(",") };
// The link names no steps: they are the pairs' own.
delete PARAMETERS["distilled-steps"];

const original = JSON.parse(await readFile(join(DIST, OWN), "utf8"));
const family = [
  { name: "Emoji", manifest: "manifest.json" },
  { name: "Emoji, three steps", manifest: "relative.json" },
];

/** The bundled pair with few base steps, as one of a family. */
function member({ name }, change = () => {}) {
  const manifest = structuredClone(original);
  manifest.name = name;
  manifest.family = family;
  manifest.defaults.base_steps = 2;
  change(manifest);
  return manifest;
}

function relative(change = () => {}) {
  return member(family[1], (manifest) => {
    manifest.defaults.distilled_steps = 3;
    manifest.defaults.distilled_timesteps = [];
    manifest.schedulers.distilled._class_name = "EulerDiscreteScheduler";
    manifest.schedulers.distilled.timestep_spacing = "trailing";
    change(manifest);
  });
}

function serve(server, path, manifest) {
  server.fault(path, { replaceBody: Buffer.from(JSON.stringify(manifest)) });
}

/** Draws the grid; the images by mode. */
async function draw(page, modes = MODES) {
  await page.pressGenerate();
  await page.waitForStatus([/^Done/], TIMEOUT);
  await page.waitForDone(cellNames(modes, 1), TIMEOUT);
  return Object.fromEntries(
    await Promise.all(modes.map(async (mode) => [mode, await page.image(mode, 0)])),
  );
}

/** Chooses the first pair again: only its manifest is asked for, and the pixels are those of `first`. */
async function goBack(page, server, first) {
  const back = await requestsOf(server, async () => {
    await choose(page, family[0]);
    return draw(page);
  });
  assert.deepEqual(back.paths, [OWN]);
  assert.deepEqual(back.result, first, "the same pair gives the same pixels");
}

/** Chooses a pair and waits until its manifest has filled the controls. */
async function choose(page, { name }) {
  await page.control("pair").getByLabel(name, { exact: true }).check();
  const shown = page.page.locator(".facts dd", { hasText: new RegExp(`^${name}$`) });
  await shown.waitFor({ timeout: TIMEOUT });
  await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
}

/** What is asked for below the pair's folder while `act` runs. */
async function requestsOf(server, act) {
  const before = server.requests.length;
  const result = await act();
  const paths = server.requests
    .slice(before)
    .map((request) => request.path)
    .filter((path) => path.startsWith(PAIR_PATH));
  return { paths, result };
}

test(
  "another pair of the same files costs its manifest alone, there and back",
  { timeout: 3 * TIMEOUT },
  async () => {
    const prepare = ({ server }) => {
      serve(server, OWN, member(family[0]));
      serve(server, RELATIVE, relative());
    };
    await withPage({ parameters: PARAMETERS, prepare, isFirstVisit: true }, async ({ page, server }) => {
      const first = await draw(page);
      assert.equal(await page.control("distilled-steps").inputValue(), "4");
      assert.ok(await page.control("pair").getByLabel("Emoji", { exact: true }).isChecked());

      // What the visitor has typed stays; what belongs to the pair changes.
      await page.control("seed").fill("2");
      await page.control("guidance").fill("7");
      const there = await requestsOf(server, async () => {
        await choose(page, family[1]);
        assert.equal(await page.control("distilled-steps").inputValue(), "3");
        assert.equal(await page.control("prompt").inputValue(), QUICK.prompt);
        assert.equal(await page.control("seed").inputValue(), "2");
        assert.ok(await page.control("mode-base").isChecked());
        const defaultGuidance = String(original.defaults.base_guidance);
        assert.equal(await page.control("guidance").inputValue(), defaultGuidance);
        await page.page.waitForFunction(() => {
          const parameters = new URLSearchParams(location.hash.slice(1));
          return (
            parameters.get("pair") === "pairs/emoji/relative.json" &&
            parameters.get("seed") === "2" &&
            parameters.get("device") === "cpu" &&
            !parameters.has("guidance") &&
            !parameters.has("distilled-steps")
          );
        });
        await page.control("seed").fill(String(QUICK.seed));
        return draw(page);
      });
      assert.deepEqual(there.paths, [RELATIVE]);
      assert.deepEqual(there.result.base, first.base, "the base is the same");
      assert.notDeepEqual(there.result.distilled, first.distilled);

      await goBack(page, server, first);
      await page.page.waitForFunction(() => !location.hash.includes("pair="));

      // The link alone leads to the other pair, whose family leads back.
      const { pair, ...others } = { pair: "pairs/emoji/relative.json", ...PARAMETERS };
      const byLink = await requestsOf(server, async () => {
        await page.open({ ...others, pair });
        return draw(page);
      });
      assert.deepEqual(byLink.paths, [RELATIVE], "the store has kept all files");
      assert.deepEqual(byLink.result, there.result);
      await choose(page, family[0]);
    });
  },
);

/** A safetensors file of f32 tensors, `{name: {shape, values}}`. */
function safetensors(tensors) {
  const header = {};
  const parts = [];
  let offset = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    const part = Buffer.from(Float32Array.from(values).buffer);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + part.length] };
    offset += part.length;
    parts.push(part);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...parts]);
}

/** Serves the relative with a LoRA on the base's first convolution as its distilled model. */
function serveAdapter(server, layer) {
  const body = safetensors({
    [`unet.${layer}.lora_A.weight`]: { shape: [1, 4, 3, 3], values: Array(36).fill(0.1) },
    [`unet.${layer}.lora_B.weight`]: { shape: [64, 1, 1, 1], values: Array(64).fill(0.2) },
    [`unet.${layer}.alpha`]: { shape: [], values: [0.5] },
  });
  server.fault(ADAPTER, { replaceBody: body });
  const manifest = relative((manifest) => {
    manifest.components.unet_distilled = {
      config: manifest.components.unet.config,
      files: [
        {
          path: "adapter.safetensors",
          size: body.length,
          sha256: createHash("sha256").update(body).digest("hex"),
        },
      ],
      adapter_on: "unet",
    };
  });
  serve(server, RELATIVE, manifest);
}

test(
  "a pair whose distilled model is an adapter on the base costs the adapter",
  { timeout: 3 * TIMEOUT },
  async () => {
    const prepare = ({ server }) => {
      serve(server, OWN, member(family[0]));
      serveAdapter(server, "conv_in");
    };
    await withPage({ parameters: PARAMETERS, prepare, isFirstVisit: true }, async ({ page, server }) => {
      const first = await draw(page);
      const there = await requestsOf(server, async () => {
        await choose(page, family[1]);
        return draw(page);
      });
      assert.deepEqual(there.paths, [RELATIVE, ADAPTER]);
      assert.deepEqual(there.result.base, first.base, "the base is the same");
      assert.notDeepEqual(there.result.distilled, first.distilled);

      await goBack(page, server, first);
    });
  },
);

test(
  "an adapter of another model and a missing manifest are sentences, and the way back works",
  { timeout: 3 * TIMEOUT },
  async () => {
    const parameters = { ...PARAMETERS, modes: "distilled" };
    const prepare = ({ server }) => {
      serve(server, OWN, member(family[0]));
      serveAdapter(server, "conv_before");
    };
    await withPage({ parameters, prepare }, async ({ page, server, browser }) => {
      await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
      await choose(page, family[1]);
      await page.control("generate").click();
      await page.waitForStatus([/adapter/, /conv_before/, /another model/], TIMEOUT);
      await choose(page, family[0]);
      await draw(page, ["distilled"]);

      server.fault(RELATIVE, { status: 404 });
      browser.expectProblem(/^Failed to load resource: /);
      // The choice goes back at once where the pair isn't there.
      await page.control("pair").getByLabel(family[1].name, { exact: true }).click();
      await page.waitForStatus([/relative\.json/, /404/], TIMEOUT);
      await choose(page, family[0]);
      await draw(page, ["distilled"]);
    });
  },
);
