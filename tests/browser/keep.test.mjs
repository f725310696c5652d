// What a visitor keeps: every image of a grid in one ZIP, favourites, and a run that was deleted by mistake.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 2 * 60_000;
const MODES = ["distilled", "skip"];
const RECIPE = { ...QUICK, modes: MODES.join(","), "seed-count": 2 };

async function draw(page) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(MODES, 2), TIMEOUT);
}

/** The files of a ZIP that stores them as they are, by its directory. */
function filesOf(zip) {
  const end = zip.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  const files = new Map();
  for (let index = 0; index < count; index += 1) {
    const [size, nameLength, extra, comment] = [24, 28, 30, 32].map((offset) =>
      offset === 24 ? zip.readUInt32LE(at + offset) : zip.readUInt16LE(at + offset),
    );
    const local = zip.readUInt32LE(at + 42);
    const name = zip.subarray(at + 46, at + 46 + nameLength).toString();
    const start = local + 30 + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
    files.set(name, zip.subarray(start, start + size));
    at += 46 + nameLength + extra + comment;
  }
  return files;
}

test("all images of a grid come in one ZIP with their recipes and a table", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: RECIPE }, async ({ page }) => {
    await draw(page);
    const download = page.page.waitForEvent("download");
    await page.control("save-all").click();
    const saved = await download;
    assert.match(saved.suggestedFilename(), /^firststep-a-red-heart-seed-1-all\.zip$/);
    const files = filesOf(await readFile(await saved.path()));
    const pictures = [...files.keys()].filter((name) => name.endsWith(".png"));
    assert.equal(pictures.length, 4, [...files.keys()].join(", "));
    for (const name of pictures) {
      assert.match(files.get(name).toString("latin1"), /^\x89PNG[^]*firststep/, name);
    }
    const [header, ...lines] = files.get("grid.csv").toString().trim().split("\r\n");
    assert.equal(header, "file,row,prompt,seed,milliseconds,digest,distance_to_seed_1,distance_to_seed_2");
    assert.equal(lines.length, 4);
    const [file, row, prompt, seed, time, digest, own, other] = lines[0].split(",");
    assert.ok(files.has(file), file);
    assert.deepEqual([row, prompt, seed, own], ["Distilled", "a red heart", "1", ""]);
    assert.ok(Number(time) > 0 && digest.length >= 8 && Number(other) > 0 && Number(other) < 1, lines[0]);
    assert.equal(JSON.parse(files.get("recipe.json")).recipe.prompt, "a red heart");
  });
});

test("a favourite is marked in the grid and found in the history, larger, after a reload", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: RECIPE, isFirstVisit: true }, async ({ page }) => {
    await draw(page);
    await page.cell("skip", 1).focus();
    await page.page.keyboard.press("f");
    const star = page.control("star-skip-1");
    await page.page.waitForFunction(
      () => document.querySelector('[data-testid="star-skip-1"]')?.ariaPressed === "true",
    );
    assert.equal(await page.control("star-skip-0").getAttribute("aria-pressed"), "false");
    assert.equal(await page.control("strip-panel").isVisible(), false, "to mark opens nothing");

    await page.reload();
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: 60_000 });
    await page.control("history").locator("summary").click();
    const favourite = page.control("favourite");
    await favourite.waitFor({ timeout: 30_000 });
    assert.match(await favourite.innerText(), /a red heart\s+Skip first step, seed 2/);
    await page.control("favourite-off").click();
    await favourite.waitFor({ state: "detached", timeout: 30_000 });
    await page.control("favourite-undo").click();
    await favourite.waitFor({ timeout: 30_000 });
    await page.control("seed").fill("77");
    await page.control("favourite-open").click();
    assert.equal(await page.control("seed").inputValue(), "1");
    await draw(page);
    await page.page.waitForFunction(
      () => document.querySelector('[data-testid="star-skip-1"]')?.ariaPressed === "true",
    );
    await star.click({ force: true });
    await favourite.waitFor({ state: "detached", timeout: 30_000 });
  });
});

test("a deleted run comes back, and all of them do", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: QUICK }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    await page.control("history").locator("summary").click();
    const entry = page.control("history-entry");
    await entry.waitFor({ timeout: 30_000 });
    await page.control("history-delete").click();
    await entry.waitFor({ state: "detached", timeout: 30_000 });
    await page.control("history-undo").click();
    await entry.waitFor({ timeout: 30_000 });
    await page.control("history-clear").click();
    await page.control("history-clear-confirm").click();
    await entry.waitFor({ state: "detached", timeout: 30_000 });
    await page.control("history-undo").click();
    await entry.waitFor({ timeout: 30_000 });
  });
});

test("a word of 2,000 letters breaks no layout, and Back asks before a grid is lost", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, prompt: "w".repeat(2000), "seed-count": 12 };
  await withPage({ parameters }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 12), TIMEOUT);
    for (const width of [320, 1280]) {
      await page.page.setViewportSize({ width, height: 800 });
      const overflow = await page.page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(overflow <= 0, `${width} pixels are too narrow by ${overflow}`);
    }
    const asked = page.page.waitForEvent("dialog");
    const left = page.page.goto("about:blank").catch(() => "stayed");
    const dialog = await asked;
    assert.equal(dialog.type(), "beforeunload");
    await dialog.dismiss();
    await left;
    assert.equal(await page.control("cell-distilled-0").getAttribute("data-state"), "done");
    // The test's own end leaves the page.
    page.page.on("dialog", (dialog) => dialog.accept());
  });
});
