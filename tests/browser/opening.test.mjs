// What a newcomer sees: the opening recipe is the one whose diversity was measured, its first grid says
// what the page's first sentence says, and the buttons hold their words.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, PAIR_PATH, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";
import { wordsOutside } from "./words.mjs";

const TIMEOUT = 10 * 60_000;
/** Measures differ by the last bits of the pictures' colours alone. */
const TOLERANCE = 0.01;

// tools/reference/diversity.py writes it.
const MEASURED = JSON.parse(
  await readFile(new URL("reference/diversity.json", import.meta.url), "utf8"),
);
const { defaults } = JSON.parse(await readFile(join(DIST, PAIR_PATH, "manifest.json"), "utf8"));

/** The measured row that the defaults' hybrid is. */
const [hybrid] = Object.entries(MEASURED.rows).find(
  ([, row]) =>
    row.mode === "hybrid" && row.k === defaults.k && row.base_steps === defaults.hybrid_base_steps,
);
const ends = ([mean, margin]) => ({ low: mean - margin, high: mean + margin });

test("every example was measured, and its hybrid lies above the distilled model", () => {
  assert.deepEqual(Object.keys(MEASURED.prompts), defaults.example_prompts);
  assert.equal(defaults.prompt, defaults.example_prompts[0]);
  assert.deepEqual(defaults.modes, ["base", "distilled", "hybrid"]);
  assert.ok(MEASURED.seeds >= 8);
  for (const [prompt, rows] of Object.entries(MEASURED.prompts)) {
    const [distilled, above] = [ends(rows.distilled.at(-1)), ends(rows[hybrid].at(-1))];
    assert.ok(above.low > distilled.high, `${prompt}: ${JSON.stringify([distilled, above])}`);
  }
});

test("the first grid shows it, at one press", { timeout: TIMEOUT }, async (t) => {
  // The base model's row takes far longer than both others, and its numbers say nothing of them.
  const parameters = { device: "cpu", modes: "distilled,hybrid" };
  await withPage({ parameters }, async ({ page }) => {
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: 60_000 });
    const value = (name) => page.control(name).inputValue();
    assert.equal(await value("prompt"), defaults.prompt);
    assert.equal(Number(await value("seed-count")), defaults.seed_count);
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled", "hybrid"], defaults.seed_count), TIMEOUT);
    const found = {};
    for (const [mode, row] of [["distilled", "distilled"], ["hybrid", hybrid]]) {
      const { mean, margin, n } = await page
        .control(`diversity-${mode}`)
        .evaluate((element) => ({ ...element.dataset }));
      assert.equal(Number(n), defaults.seed_count);
      found[mode] = ends([Number(mean), Number(margin)]);
      const [measured] = MEASURED.prompts[defaults.prompt][row];
      t.diagnostic(`${mode}: ${mean} ± ${margin}, measured ${measured.join(" ± ")}`);
      assert.ok(Math.abs(Number(mean) - measured[0]) < TOLERANCE, mode);
      assert.ok(Math.abs(Number(margin) - measured[1]) < TOLERANCE, mode);
    }
    assert.ok(found.hybrid.low > found.distilled.high, JSON.stringify(found));
    const [base] = MEASURED.rows[hybrid].steps;
    const sentence = page.page.locator(".row-explanation").last();
    assert.match(await sentence.innerText(), new RegExp(`^${base} base steps for the first of 4: on SDXL one is enough`));
  });
});

test("the buttons hold their words at every width", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: { device: "cpu" } }, async ({ page }) => {
    for (const width of [320, 360, 480, 768, 960, 1024, 1280, 1440, 1920, 2560]) {
      await page.page.setViewportSize({ width, height: 900 });
      const outside = await page.page.evaluate(wordsOutside, ".actions button");
      assert.deepEqual(outside, [], `${width} pixels wide`);
    }
  });
});

test("the list of models begins with what most people should take, and says so", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: { device: "cpu" } }, async ({ page }) => {
    await page.page.locator(".page-header [aria-haspopup=dialog]").click();
    const offered = page.page.locator('[data-testid="library-pair"]').filter({ hasText: /^SDXL/ });
    await offered.first().waitFor({ timeout: 60_000 });
    assert.match(await offered.first().innerText(), /^SDXL \+ DMD2 \(LoRA\)[^]*The one to begin with: its LoRA is less to load/);
  });
});
