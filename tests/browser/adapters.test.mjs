// Adapters that a visitor brings: stored by their content, moved, shared and missed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { QUICK, cellNames, eventually, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const LAYER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";

/** A safetensors file of `f32` tensors. */
function safetensors(tensors, metadata = {}) {
  const header = { __metadata__: metadata };
  let offset = 0;
  const bodies = Object.entries(tensors).map(([name, { shape, values }]) => {
    const bytes = Buffer.from(new Float32Array(values).buffer);
    header[name] = { dtype: "F32", shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    return bytes;
  });
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...bodies]);
}

/** A LoRA of rank 4 on one convolution, which changes every picture. */
const LORA = safetensors({
  "lora_unet_conv_in.lora_down.weight": {
    shape: [4, 4, 3, 3],
    values: Array.from({ length: 144 }, (_, index) => Math.sin(index * 7) * 0.3),
  },
  "lora_unet_conv_in.lora_up.weight": {
    shape: [64, 4, 1, 1],
    values: Array.from({ length: 256 }, (_, index) => Math.cos(index * 3) * 0.3),
  },
  "lora_unet_conv_in.alpha": { shape: [], values: [4] },
});
const OTHER = safetensors({
  [`${LAYER}x.lora_down.weight`]: { shape: [1, 8], values: Array(8).fill(0) },
  [`${LAYER}x.lora_up.weight`]: { shape: [8, 1], values: Array(8).fill(0) },
});
const hash = createHash("sha256").update(LORA).digest("hex");

const address = (page) => page.page.evaluate(() => decodeURIComponent(location.hash));
const bring = (page, name, buffer) =>
  page.control("adapter-file").setInputFiles({ name, mimeType: "", buffer });

async function draw(page, modes = ["distilled"]) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(modes, 1), TIMEOUT);
  return (await page.image(modes[0], 0)).rgba;
}

async function openShelf(page) {
  const shelf = page.control("adapters");
  if (!(await shelf.evaluate((details) => details.open))) {
    await shelf.locator("> summary").click();
  }
}

test(
  "an adapter is brought from the disk, moved, kept, compared and taken off",
  { timeout: 3 * TIMEOUT },
  async () => {
    await withPage({ parameters: QUICK }, async ({ page }) => {
      const plain = await draw(page);
      await openShelf(page);
      await bring(page, "Curls (v2).safetensors", LORA);
      const field = page.control("adapter");
      await field.waitFor({ timeout: 60_000 });
      assert.equal(await field.locator("legend").innerText(), "Curls (v2).safetensors");
      await eventually(async () =>
        assert.match(await address(page), new RegExp(`adapters=${hash}:1:both:1000:all:Curls`)),
      );
      const changed = await draw(page);
      assert.ok(rootMeanSquareError(changed, plain) > 1, "the adapter acts");

      // Without strength it is as if it weren't there.
      await page.control("adapter-strength").fill("0");
      assert.deepEqual(await draw(page), plain);

      // A strength that is moved is drawn at once.
      await page.control("redraws").check();
      await page.control("adapter-strength").fill("-2");
      await eventually(async () => {
        const { rgba } = await page.image("distilled", 0);
        assert.ok(rootMeanSquareError(rgba, plain) > 1);
        assert.ok(rootMeanSquareError(rgba, changed) > 1);
      }, TIMEOUT);

      // A reload finds it in the store.
      await page.reload();
      await page.control("adapter").waitFor({ timeout: 60_000 });
      assert.equal(await page.control("adapter-missing").innerText(), "");
      await page.control("adapter-strength").fill("1");
      assert.deepEqual(await draw(page), changed);

      await page.control("before-after").click();
      const change = page.control("change-distilled-a1");
      await change.waitFor({ timeout: TIMEOUT });
      assert.ok(Number(await change.getAttribute("data-mean")) > 0.005);

      await page.control("remove-adapter").click();
      await page.control("axis").selectOption("modes");
      assert.deepEqual(await draw(page), plain);
      await page.control("delete-adapter").click();
      await page.control("shelf-entry").waitFor({ state: "detached", timeout: 30_000 });
    });
  },
);

/** Resident bytes of the pages' processes, the engine's worker included. */
async function resident(page) {
  const session = await page.page.context().browser().newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const renderers = processInfo.filter(({ type }) => type === "renderer");
  const pages = await Promise.all(
    renderers.map(async ({ id }) => Number((await readFile(`/proc/${id}/statm`, "utf8")).split(" ")[1])),
  );
  return 4096 * pages.reduce((sum, own) => sum + own, 0);
}

test("fifty moves of a strength leave the memory where it was", { timeout: 2 * TIMEOUT }, async (t) => {
  await withPage({ parameters: QUICK }, async ({ page }) => {
    await draw(page);
    await openShelf(page);
    await bring(page, "curls.safetensors", LORA);
    await page.control("adapter").waitFor({ timeout: 60_000 });
    await page.control("redraws").check();
    const session = await page.page.context().newCDPSession(page.page);
    const sizes = [];
    let last = null;
    for (let move = 1; move <= 50; move += 1) {
      const before = last;
      await page.control("adapter-strength").fill(String(move / 20));
      await eventually(async () => {
        last = (await page.image("distilled", 0)).rgba;
        assert.notDeepEqual(last, before);
        assert.equal(await page.control("cell-distilled-0").getAttribute("data-state"), "done");
      }, TIMEOUT);
      if (move % 10 === 0) {
        await session.send("HeapProfiler.collectGarbage");
        sizes.push(await resident(page));
      }
    }
    t.diagnostic(`resident bytes after each ten moves: ${sizes.join(", ")}`);
    const ratio = sizes.at(-1) / sizes[0];
    // A picture's state is kept by no move: what is left is what the collector has not yet come to.
    assert.ok(ratio <= 1.1, `${ratio.toFixed(3)} times as much as after ten moves`);
  });
});

test("a shared link draws the same where its adapter is brought anew", { timeout: 2 * TIMEOUT }, async () => {
  let shared;
  let drawn;
  await withPage({ parameters: QUICK, isFirstVisit: true }, async ({ page }) => {
    await page.control("seed-count").and(page.page.locator(":enabled")).waitFor({ timeout: TIMEOUT });
    await openShelf(page);
    await bring(page, "curls.safetensors", LORA);
    await page.control("adapter").waitFor({ timeout: 60_000 });
    await page.control("adapter-strength").fill("-1.5");
    drawn = await draw(page);
    shared = Object.fromEntries(new URLSearchParams((await page.page.evaluate(() => location.hash)).slice(1)));
  });
  assert.match(shared.adapters, new RegExp(`^${hash}:-1.5:`));
  assert.doesNotMatch(JSON.stringify(shared), /127\.0\.0\.1|localhost/, "a link names no host");
  await withPage({ parameters: shared, isFirstVisit: true }, async ({ page }) => {
    const missing = page.control("adapter-missing");
    await eventually(async () => assert.match(await missing.innerText(), /not in this browser/), 60_000);
    await bring(page, "the same file.safetensors", LORA);
    await eventually(async () => assert.equal(await missing.innerText(), ""));
    assert.deepEqual(await draw(page), drawn);
  });
});

test("an adapter that isn't here, or none, is a sentence", { timeout: 2 * TIMEOUT }, async () => {
  const parameters = { ...QUICK, adapters: `${hash}:1:both:1000:all:curls.safetensors` };
  await withPage({ parameters }, async ({ page }) => {
    const missing = page.control("adapter-missing");
    await eventually(async () =>
      assert.match(await missing.innerText(), new RegExp(`SHA-256 begins with ${hash.slice(0, 8)}`)),
    );
    await page.pressGenerate();
    await page.waitForStatus([/adapter “curls.safetensors” is not in this browser/], TIMEOUT);

    // The same file under another name is the one that the link means.
    await bring(page, "renamed.safetensors", LORA);
    await eventually(async () => assert.equal(await missing.innerText(), ""));
    await draw(page);

    await bring(page, "words.safetensors", Buffer.from("words, and nothing else"));
    const state = page.control("adapter-state");
    await eventually(async () => assert.match(await state.innerText(), /words\.safetensors/));
    const saved = (name) => readFile(new URL(`../parity/values/torch_files/${name}`, import.meta.url));
    await bring(page, "trap.pt", await saved("calls-system.pt"));
    await eventually(async () => assert.match(await state.innerText(), /trap\.pt.*system/));
    await bring(page, "slider.pt", await saved("slider.pt"));
    await eventually(async () => assert.equal(await page.control("adapter").count(), 2));
    const described = page.control("adapter-description").last();
    await eventually(async () => assert.match(await described.innerText(), /of rank 4; layers: \d+ of the UNet/));
    await page.control("remove-adapter").last().click();

    await bring(page, "another model's.safetensors", OTHER);
    await eventually(async () => assert.equal(await page.control("adapter").count(), 2));
    await page.pressGenerate();
    await page.waitForStatus([/“another model's.safetensors” can't be put on these models/], TIMEOUT);
  });
});
