// Files: what is saved comes back as the same recipe and the same picture, other programs can read
// it, and what can't be used is a sentence.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { drop, png } from "./drop.mjs";
import { QUICK, cellNames, eventually } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const READER = fileURLToPath(new URL("read_png.py", import.meta.url));
const LIGHTNING = "pairs/emoji/lightning.json";
const RECIPE_KEY = "firststep:recipe";

/** What Pillow reads of a file. */
async function readWithPillow(path) {
  const python = process.env.PILLOW_PYTHON;
  assert.ok(python, "PILLOW_PYTHON is not set: run the tests with tools/setup/with-pillow");
  const { stdout } = await promisify(execFile)(python, [READER, path], { maxBuffer: 1 << 28 });
  const read = JSON.parse(stdout);
  const frames = read.frames.map(({ duration, rgba }) => ({
    duration,
    rgba: Buffer.from(rgba, "base64"),
  }));
  return { ...read, frames };
}

/** Presses a button and waits for its download. */
async function save(page, handle) {
  const [download] = await Promise.all([
    page.page.waitForEvent("download", { timeout: 60_000 }),
    page.page.locator(`[data-testid="${handle}"]:enabled`).click({ timeout: 60_000 }),
  ]);
  return { name: download.suggestedFilename(), path: await download.path() };
}

/** What the page would draw: every control. */
async function settings(page) {
  const values = await page.page
    .locator("form.controls :is(input, textarea, select)[data-testid]:not([type=file])")
    .evaluateAll((controls) =>
      controls.map((control) => [
        control.dataset.testid,
        control.type === "checkbox" ? control.checked : control.value,
      ]),
    );
  return Object.fromEntries(values);
}

/** Waits until the controls say this, and the address too. */
async function waitForSettings(page, expected) {
  await eventually(async () => assert.deepEqual(await settings(page), expected));
  await page.page.waitForFunction(
    (pair) => location.hash.includes(`pair=${pair}`) && location.hash.includes("seed-count=2"),
    LIGHTNING,
    { timeout: 30_000 },
  );
}

const ready = (page) =>
  page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });

test(
  "a saved picture brings its recipe to another browser, which draws the same pixels",
  { timeout: 3 * TIMEOUT },
  async () => {
    const parameters = {
      ...QUICK,
      prompt: "image of a dog face, 漢字",
      seed: 4294967295,
      "seed-count": 2,
      modes: "distilled,hybrid",
      "distilled-steps": 3,
      "base-guidance": 1.5,
      pair: LIGHTNING,
    };
    const saved = {};
    await withPage({ parameters }, async ({ page }) => {
      await page.pressGenerate();
      await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
      saved.image = await page.image("hybrid", 1);
      saved.settings = await settings(page);
      await page.cell("hybrid", 1).click();
      const { name, path } = await save(page, "strip-a-save-image");
      assert.equal(name, "firststep-image-of-a-dog-face-hybrid-seed-0.png");
      saved.file = await readFile(path);

      const read = await readWithPillow(path);
      assert.deepEqual(read.size, [saved.image.width, saved.image.height]);
      assert.equal(read.frames.length, 1);
      assert.deepEqual(read.frames[0].rgba, saved.image.rgba, "Pillow sees the canvas's pixels");
      const recipe = JSON.parse(read.text[RECIPE_KEY]);
      assert.equal(recipe.recipe.prompt, parameters.prompt);
      assert.equal(recipe.pair, LIGHTNING);
      assert.deepEqual(recipe.cell, { row: 1, column: 1 });
      saved.recipe = recipe;
      const text = read.text.parameters;
      assert.match(text, /^image of a dog face, 漢字\n/);
      assert.match(text, /\nSteps: 3, Sampler: [^,]+, CFG scale: [^,]+, Seed: 0, Size: 64x64, /);
    });

    const fresh = { device: "cpu", prompt: "a bus" };
    await withPage({ parameters: fresh }, async ({ page }) => {
      await ready(page);
      await drop(page, "picture.png", saved.file);
      await page.page.waitForFunction(
        (pair) => document.querySelector(`[name="pair"][value="${pair}"]`)?.checked,
        LIGHTNING,
        { timeout: 60_000 },
      );
      await ready(page);
      assert.match(await page.control("opened").innerText(), /picture\.png.*press Generate/);
      assert.deepEqual(await page.cellStates(), {}, "nothing is drawn by itself");
      await waitForSettings(page, saved.settings);
      await page.reload();
      await ready(page);
      assert.deepEqual(await settings(page), saved.settings, "the address says it all");
      await page.pressGenerate();
      await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
      assert.deepEqual(await page.image("hybrid", 1), saved.image);
    });

    // On the same pair, with the file button; and with a prompt typed over it before.
    await withPage({ parameters: { device: "cpu", pair: LIGHTNING } }, async ({ page }) => {
      await ready(page);
      await page.control("prompt").fill("a bus");
      await page.control("open-picture").setInputFiles({
        name: "picture.png",
        mimeType: "image/png",
        buffer: saved.file,
      });
      await waitForSettings(page, saved.settings);
      const hash = () => page.page.evaluate(() => location.hash);
      const before = await hash();

      // What can't be used is a sentence and changes nothing.
      const { recipe } = saved;
      const withRecipe = (changed) =>
        png({ [RECIPE_KEY]: JSON.stringify({ ...recipe, ...changed }) });
      const elsewhere = "https://elsewhere.example/manifest.json";
      const wrong = [
        ["notes.txt", Buffer.from("a red heart"), /no PNG, JPEG or WebP/],
        ["cut.png", saved.file.subarray(0, 60), /ends too early/],
        ["plain.png", png(), /holds no recipe/],
        ["later.png", withRecipe({ version: 2 }), /version 2.*Reload the page/],
        ["else.png", withRecipe({ pair: elsewhere }), /elsewhere.*not an address on this page's/],
        ["else2.png", withRecipe({ pair: "//elsewhere.example/a" }), /not an address on this/],
        ["bad.png", png({ [RECIPE_KEY]: "{" }), /can't be read/],
        [
          "many.png",
          withRecipe({ recipe: { ...recipe.recipe, seed_count: 1000 } }),
          /number of seeds is 1000/,
        ],
      ];
      for (const [name, bytes, sentence] of wrong) {
        await drop(page, name, bytes, name.endsWith(".txt") ? "text/plain" : "image/png");
        await page.waitForStatus([sentence], 30_000);
        assert.deepEqual(await settings(page), saved.settings, name);
        assert.equal(await hash(), before, name);
      }
      assert.deepEqual(await page.cellStates(), {});

      // Another program's picture.
      const text =
        "a kitten on a blue background\nNegative prompt: worm\n" +
        "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086123, Size: 512x768, Model: x";
      await drop(page, "other.txt", Buffer.from(text), "text/plain");
      await page.waitForStatus([/another program's/, /its sampler Euler a as the base model's/], 30_000);
      assert.equal(await page.control("prompt").inputValue(), "a kitten on a blue background");
      await page.control("prompt").fill("");
      await drop(page, "other.png", png({ parameters: text }));
      await page.waitForStatus([/another program's/, /965400086123 as 3327411819, the low 32 bits/], 30_000);
      assert.equal(await page.control("prompt").inputValue(), "a kitten on a blue background");
      assert.equal(await page.control("negative-prompt").inputValue(), "worm");
      assert.equal(await page.control("base-steps").inputValue(), "20");
      assert.equal(await page.control("guidance").inputValue(), "7");
      assert.equal(await page.control("seed").inputValue(), "3327411819");
      assert.deepEqual(await page.cellStates(), {});
    });
  },
);

test("the grid and a cell's steps are files that Pillow reads", { timeout: 2 * TIMEOUT }, async () => {
  const parameters = {
    ...QUICK,
    modes: "distilled,hybrid",
    "seed-count": 2,
    "distilled-steps": 4,
    k: 2,
  };
  await withPage({ parameters }, async ({ page }) => {
    await page.control("first-look").click({ timeout: 60_000 });
    await page.page
      .locator('[data-testid="cell-hybrid-1"][data-state="resting"]')
      .waitFor({ timeout: TIMEOUT });
    await page.control("tick-hybrid-0").check();
    await page.control("finish-ticked").click();
    await page.waitForDone(["cell-hybrid-0"], TIMEOUT);
    const image = await page.image("hybrid", 0);

    const grid = await save(page, "save-grid");
    assert.equal(grid.name, "firststep-a-red-heart-seed-1-grid.png");
    const sheet = await readWithPillow(grid.path);
    const recipe = JSON.parse(sheet.text[RECIPE_KEY]);
    assert.equal(recipe.cell, null);
    assert.equal(recipe.recipe.seed_count, 2);
    const [width, height] = sheet.size;
    assert.ok(width > 2 * 64 + 60 && height > 2 * 64 + 12, `${width} x ${height}`);
    // The one finished image is somewhere, pixel for pixel, and black letters on white around it.
    const at = sheet.frames[0].rgba.indexOf(image.rgba.subarray(0, 64 * 4));
    assert.ok(at >= 0, "the image's first row of pixels");
    for (let row = 0; row < 64; row += 1) {
      const start = at + row * width * 4;
      const expected = image.rgba.subarray(row * 64 * 4, (row + 1) * 64 * 4);
      assert.deepEqual(sheet.frames[0].rgba.subarray(start, start + 64 * 4), expected, `row ${row}`);
    }
    assert.deepEqual([...sheet.frames[0].rgba.subarray(0, 4)], [255, 255, 255, 255]);

    await page.cell("hybrid", 0).click();
    await page.page.waitForFunction(
      () => document.querySelectorAll('[data-testid^="strip-a-frame-"]').length === 4,
      undefined,
      { timeout: 60_000 },
    );
    const strip = await save(page, "strip-a-save-strip");
    assert.equal(strip.name, "firststep-a-red-heart-hybrid-seed-1-strip.png");
    const animation = await readWithPillow(strip.path);
    assert.deepEqual(animation.size, [64, 64]);
    assert.equal(animation.frames.length, 4);
    for (const { duration } of animation.frames) {
      assert.ok(duration > 0, `${duration} ms`);
    }
    assert.notDeepEqual(animation.frames[0].rgba, animation.frames[3].rgba);
    assert.deepEqual(JSON.parse(animation.text[RECIPE_KEY]).cell, { row: 1, column: 0 });

    const steps = await save(page, "strip-a-save-strip-sheet");
    assert.equal(steps.name, "firststep-a-red-heart-hybrid-seed-1-steps.png");
    const contact = await readWithPillow(steps.path);
    assert.ok(contact.size[0] > 4 * 64, `${contact.size}`);
    assert.equal(contact.frames.length, 1);
  });
});
