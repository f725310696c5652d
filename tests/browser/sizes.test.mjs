// The size of the pictures: chosen, typed, of a link or of another program's picture. The bundled pair has
// one size; its networks draw any, so that a manifest with a range stands for a pair that has one.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { drop, png } from "./drop.mjs";
import { DIST, PAIR_PATH, QUICK, cellNames, eventually } from "./page.mjs";
import { comparePicture } from "./pictures.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const OWN = `${PAIR_PATH}manifest.json`;
const REFERENCE = new URL("reference/manifest.json", import.meta.url);

const { sizes } = JSON.parse(await readFile(REFERENCE, "utf8"));
const manifest = JSON.parse(await readFile(join(DIST, OWN), "utf8"));
manifest.image_sides = [64, 256];

/** Serves the bundled pair as one with a range of sizes. */
const prepare = ({ server }) => {
  server.fault(OWN, { replaceBody: Buffer.from(JSON.stringify(manifest)) });
};
const hash = (page) => page.page.evaluate(() => decodeURIComponent(location.hash));

async function draw(page, mode) {
  await page.pressGenerate();
  await page.waitForDone(cellNames([mode], 1), TIMEOUT);
  return page.image(mode, 0);
}

test("pictures of other sizes are those of diffusers", { timeout: 3 * TIMEOUT }, async (t) => {
  for (const entry of sizes) {
    const parameters = {
      ...entry.options,
      device: "cpu",
      prompt: entry.prompt,
      seed: entry.seed,
      "seed-count": 1,
      modes: entry.mode,
    };
    await withPage({ parameters, prepare }, async ({ page }) => {
      assert.equal(await page.control("width").inputValue(), entry.options.size.split("x")[0]);
      await comparePicture(t, entry, await draw(page, entry.mode), "CPU");
    });
  }
});

test("a size is typed, kept in the address, drawn, and taken back", { timeout: 2 * TIMEOUT }, async () => {
  await withPage({ parameters: QUICK, prepare }, async ({ page }) => {
    const size = page.control("size");
    assert.equal(await size.locator("option:checked").innerText(), "The pair's own (64 × 64)");
    await size.selectOption({ label: "Another…" });
    await page.control("width").fill("128");
    await eventually(async () => assert.match(await hash(page), /size=128x64/));
    assert.match(await page.control("size-help").innerText(), /^2\.0 times the pixels of 64 × 64/);
    const image = await draw(page, "distilled");
    assert.deepEqual([image.width, image.height], [128, 64]);

    await page.control("height").fill("100");
    assert.match(await page.control("size-help").innerText(), /sides from 64 to 256 in steps of 64/);
    await page.pressGenerate();
    await page.waitForStatus([/The size has to be width and height, such as 1152x896/], 30_000);

    // A picture of another program, with a size that these models draw, and with one that they don't.
    const parameters = (size) => `a fish\nSteps: 3, Seed: 5, Size: ${size}`;
    await drop(page, "a.png", png({ parameters: parameters("64x128") }));
    await page.waitForStatus([/Its size 64 × 128 is taken over/], 30_000);
    assert.equal(await page.control("height").inputValue(), "128");
    await drop(page, "b.png", png({ parameters: parameters("832x1216") }));
    await page.waitForStatus([/832 × 1216 is left out, since these models draw sides from 64/], 30_000);

    await size.selectOption({ label: "The pair's own (64 × 64)" });
    await eventually(async () => assert.doesNotMatch(await hash(page), /size=/));
    assert.equal((await draw(page, "distilled")).width, 64);
  });
});

test("a link to a size that the models don't draw says so", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: { ...QUICK, size: "1152x896" } }, async ({ page }) => {
    const expected = /don't draw pictures of 1152 × 896 pixels: they draw 64 × 64 alone/;
    assert.match(await page.control("size-help").innerText(), expected);
    await page.pressGenerate();
    await page.waitForStatus([expected], 30_000);
    await page.control("size").selectOption({ index: 0 });
    await page.control("size-fields").waitFor({ state: "detached", timeout: 30_000 });
    assert.equal((await draw(page, "distilled")).width, 64);
  });
});
