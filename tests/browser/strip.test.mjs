// The strip: a cell's Diffusion Targets step by step, two strips in lockstep along the timestep,
// the region that is followed through them, and the curve of the paper's Figure 5.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { PNG } from "pngjs";

import { QUICK, cellNames, eventually, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 10 * 60_000;
const SOON = 60_000;
// Of 255, as for whole pictures.
const TOLERANCE = 3;
const REFERENCE = new URL("reference/", import.meta.url);
const { pictures } = JSON.parse(await readFile(new URL("manifest.json", REFERENCE), "utf8"));

/** Two rows of different numbers of steps. */
const PAIR = { ...QUICK, modes: "base,distilled", "base-steps": 8, "distilled-steps": 4 };

/** Notes every word of the play button: a pass may be over before a test looks at it. */
const notePlaying = ({ page }) =>
  page.page.addInitScript(() => {
    window.playWords = [];
    new MutationObserver(() => {
      const word = document.querySelector('[data-testid="strip-play"]')?.textContent.trim();
      if (word !== undefined && word !== window.playWords.at(-1)) {
        window.playWords.push(word);
      }
    }).observe(document, { childList: true, characterData: true, subtree: true });
  });

/** Waits until the play button has said these words, in this order, and no others. */
const waitForPlaying = (page, words) =>
  eventually(async () =>
    assert.deepEqual(await page.page.evaluate(() => window.playWords), words),
  );

const stillStanding = ({ page }) => page.page.emulateMedia({ reducedMotion: "reduce" });

const frame = (page, strip, step, view = "target") =>
  page.page.locator(`[data-testid="strip-${strip}-frame-${step}"][data-view="${view}"]`);

const frames = (page, strip, view = "target") =>
  page.page.locator(`[data-testid^="strip-${strip}-frame-"][data-view="${view}"]`);

/** What each frame of a strip says of itself. */
const labels = (page, strip, view = "target") =>
  frames(page, strip, view).evaluateAll((all) =>
    all.map(({ dataset, innerText }) => ({
      step: Number(dataset.step),
      timestep: Number(dataset.timestep),
      model: dataset.model,
      text: innerText.replaceAll(/\s+/g, " ").trim(),
    })),
  );

const waitForFrames = (page, strip, count, view = "target") =>
  page.page.waitForFunction(
    ([strip, count, view]) =>
      document.querySelectorAll(`[data-testid^="strip-${strip}-frame-"][data-view="${view}"]`)
        .length === count,
    [strip, count, view],
    { timeout: TIMEOUT },
  );

/** The pixels of the canvas in an element. */
async function pixels(element) {
  const image = await element.evaluate((element) => {
    const canvas = element.querySelector("canvas");
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const context = copy.getContext("2d", { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return { width: canvas.width, height: canvas.height, rgba: Array.from(data) };
  });
  return { ...image, rgba: Buffer.from(image.rgba) };
}

/** Frames are drawn a few at a time: waits until each canvas has its picture. */
const waitUntilDrawn = (page) =>
  page.page.waitForFunction(
    () =>
      [...document.querySelectorAll(".strip-frame canvas")].every((canvas) => {
        const copy = new OffscreenCanvas(1, 1);
        const context = copy.getContext("2d", { willReadFrequently: true });
        context.drawImage(canvas, 0, 0, 1, 1);
        return context.getImageData(0, 0, 1, 1).data[3] === 255;
      }),
    undefined,
    { timeout: SOON },
  );

const playerStep = async (page, strip) =>
  Number(await page.control(`strip-${strip}-player`).getAttribute("data-step"));

const position = async (page) => Number(await page.control("strip-scrub").inputValue());

/** The step that the rule shows: the last whose timestep is not below, or the first. */
function ruled(labels, position) {
  const reached = labels.filter(({ timestep }) => timestep >= position);
  return (reached.at(-1) ?? labels[0]).step;
}

async function drawGrid(page, modes, seedCount) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(modes, seedCount), TIMEOUT);
}

test(
  "a strip has a frame per step with its timestep and model; two strips move along the timestep",
  { timeout: TIMEOUT },
  async () => {
    await withPage({ parameters: PAIR, prepare: stillStanding }, async ({ page }) => {
      await drawGrid(page, ["base", "distilled"], 1);
      await page.cell("base", 0).click();
      await waitForFrames(page, "a", 8);
      await waitForFrames(page, "b", 4);
      assert.equal(await page.control("strip-a").getAttribute("data-cell"), "base-0");
      assert.equal(await page.control("strip-b").getAttribute("data-cell"), "distilled-0");
      const [base, distilled] = [await labels(page, "a"), await labels(page, "b")];
      for (const [all, model] of [
        [base, "base"],
        [distilled, "distilled"],
      ]) {
        for (const [index, { step, timestep, text, ...rest }] of all.entries()) {
          assert.equal(step, index + 1);
          assert.equal(rest.model, model);
          assert.ok(timestep >= 0 && timestep < 1000, `timestep ${timestep}`);
          assert.ok(index === 0 || timestep < all[index - 1].timestep, "timesteps go down");
          assert.equal(text, `Step ${step} t ${Math.round(timestep)} ${model}`);
        }
      }

      const all = [...base, ...distilled].map(({ timestep }) => Math.round(timestep));
      const positions = [1000, 0, 500, ...all, ...all.map((timestep) => timestep + 1)];
      for (const at of positions.filter((at) => at <= 1000)) {
        await page.control("strip-scrub").fill(String(at));
        const expected = [ruled(base, at), ruled(distilled, at)];
        const found = [await playerStep(page, "a"), await playerStep(page, "b")];
        assert.deepEqual(found, expected, `the steps at t = ${at}`);
        assert.equal(await page.control("strip-time").innerText(), `t = ${at}`);
        assert.equal(await frames(page, "a").and(page.page.locator("[aria-current]")).count(), 1);
      }

      await frame(page, "b", 2).click();
      assert.equal(await playerStep(page, "b"), 2, "a press on a frame goes there");
      assert.equal(await playerStep(page, "a"), ruled(base, distilled[1].timestep));

      await page.control("strip-close").click();
      await page.control("strip-panel").waitFor({ state: "detached", timeout: SOON });
      const focused = await page.page.evaluate(() => document.activeElement.dataset.testid);
      assert.equal(focused, "cell-base-0", "the focus is back where it came from");
    });
  },
);

test("the keyboard steps, plays and follows a region", { timeout: TIMEOUT }, async () => {
  const prepare = async (tools) => {
    await stillStanding(tools);
    await notePlaying(tools);
  };
  await withPage({ parameters: PAIR, prepare }, async ({ page }) => {
    const { keyboard } = page.page;
    await drawGrid(page, ["base", "distilled"], 1);
    await page.cell("base", 0).focus();
    await keyboard.press("Enter");
    await waitForFrames(page, "a", 8);
    await waitForFrames(page, "b", 4);
    // Less motion is wanted: nothing has moved by itself.
    assert.equal(await position(page), 1000);
    assert.equal(await page.control("strip-play").innerText(), "Play");

    const union = [...(await labels(page, "a")), ...(await labels(page, "b"))]
      .map(({ timestep }) => timestep)
      .sort((a, b) => b - a);
    const timesteps = [...new Set(union)];
    // The cell has the focus still.
    await keyboard.press(".");
    assert.equal(await position(page), Math.round(timesteps[1]));
    await keyboard.press(",");
    assert.equal(await position(page), Math.round(timesteps[0]));
    await page.control("strip-a-player").focus();
    for (const expected of timesteps.slice(1)) {
      await keyboard.press(".");
      assert.equal(await position(page), Math.round(expected));
    }
    await keyboard.press(".");
    assert.equal(await position(page), Math.round(timesteps.at(-1)), "there is no further one");
    await keyboard.press(",");
    assert.equal(await position(page), Math.round(timesteps.at(-2)));
    await page.control("strip-scrub").focus();
    await keyboard.press("ArrowLeft");
    assert.equal(await position(page), Math.round(timesteps.at(-3)));
    await keyboard.press("End");
    assert.equal(await position(page), 0);
    await keyboard.press("Home");
    assert.equal(await position(page), 1000);
    await frame(page, "a", 1).focus();
    await keyboard.press("ArrowRight");
    assert.equal(await playerStep(page, "a"), 2);
    const focused = await page.page.evaluate(() => document.activeElement.dataset.testid);
    assert.equal(focused, "strip-a-frame-2", "the focus goes with the frame on show");

    const outlines = () =>
      page.page.getByTestId("strip-region").evaluateAll((all) =>
        all
          .filter((outline) => outline.checkVisibility())
          .map((outline) => {
            const own = outline.getBoundingClientRect();
            const picture = outline.parentElement.getBoundingClientRect();
            const share = (value) => Math.round(value * 50) / 50;
            return [
              share((own.left - picture.left) / picture.width),
              share((own.top - picture.top) / picture.height),
              share(own.width / picture.width),
              share(own.height / picture.height),
            ];
          }),
      );
    assert.deepEqual(await outlines(), []);
    await page.control("strip-b-player").focus();
    await keyboard.press("ArrowRight");
    const first = await outlines();
    // Eight frames, four frames and both large pictures.
    assert.equal(first.length, 14, "every frame of both strips outlines it");
    for (const outline of first) {
      assert.deepEqual(outline, first[0], "the same region");
    }
    await keyboard.press("ArrowRight");
    const [moved] = await outlines();
    assert.ok(moved[0] > first[0][0], "an arrow moves it");
    await keyboard.press("Shift+ArrowDown");
    const [resized] = await outlines();
    assert.ok(resized[3] > moved[3] && resized[1] === moved[1], "with Shift it grows");
    await keyboard.press("Escape");
    assert.deepEqual(await outlines(), [], "Escape clears it");

    const player = await page.control("strip-a-player").boundingBox();
    const at = (x, y) => [player.x + player.width * x, player.y + player.height * y];
    await page.page.mouse.move(...at(0.2, 0.3));
    await page.page.mouse.down();
    await page.page.mouse.move(...at(0.5, 0.5));
    await page.page.mouse.move(...at(0.8, 0.7));
    await page.page.mouse.up();
    const drawn = await outlines();
    assert.equal(drawn.length, 14);
    for (const outline of drawn) {
      for (const [index, expected] of [0.2, 0.3, 0.6, 0.4].entries()) {
        assert.ok(Math.abs(outline[index] - expected) <= 0.04, `${outline}`);
      }
    }

    await page.control("strip-speed").selectOption("2");
    await page.control("strip-a-player").focus();
    await keyboard.press("Space");
    await waitForPlaying(page, ["Play", "Pause", "Play"]);
    assert.equal(await position(page), 0, "one pass, and it stops at the picture");
    await page.control("strip-loop").check();
    await page.control("strip-play").click();
    await page.page.waitForFunction(
      () => {
        const { value } = document.querySelector('[data-testid="strip-scrub"]');
        window.hasEnded ||= value === "0";
        return window.hasEnded && Number(value) > 500;
      },
      undefined,
      { timeout: SOON },
    );
    await page.control("strip-a-player").focus();
    await keyboard.press("Space");
    const still = await position(page);
    await page.page.waitForTimeout(300);
    assert.equal(await position(page), still, "it stands still");

    await keyboard.press("Escape");
    assert.deepEqual(await outlines(), []);
    await keyboard.press("Escape");
    await page.control("strip-panel").waitFor({ state: "detached" });
    const behind = await page.page.evaluate(() => document.activeElement.getAttribute("role"));
    assert.equal(behind, "gridcell", "the cell has the focus again");
  });
});

test("a finished strip plays once by itself", { timeout: TIMEOUT }, async () => {
  const parameters = { ...PAIR, modes: "distilled" };
  await withPage({ parameters, prepare: notePlaying }, async ({ page }) => {
    await drawGrid(page, ["distilled"], 1);
    await page.cell("distilled", 0).click();
    await waitForFrames(page, "a", 4);
    assert.equal(await page.control("strip-b").count(), 0, "there is no other row");
    await waitForPlaying(page, ["Play", "Pause", "Play"]);
    assert.equal(await position(page), 0);
    assert.equal(await playerStep(page, "a"), 4);
  });
});

test(
  "differences fade to black, the standard view shows the noise, frames fade into each other",
  { timeout: TIMEOUT },
  async () => {
    await withPage({ parameters: PAIR, prepare: stillStanding }, async ({ page }) => {
      await drawGrid(page, ["base", "distilled"], 1);
      await page.cell("distilled", 0).click();
      await waitForFrames(page, "a", 4);
      await waitForFrames(page, "b", 8);
      await waitUntilDrawn(page);
      const target = await pixels(frame(page, "a", 1));
      const second = await pixels(frame(page, "a", 2));
      await page.control("strip-scrub").fill("999");
      assert.deepEqual(await pixels(page.control("strip-a-player")), target);

      // Half way from the first timestep to the second.
      const steps = await labels(page, "a");
      const middle = Math.round((steps[0].timestep + steps[1].timestep) / 2);
      await page.control("strip-scrub").fill(String(middle));
      assert.deepEqual(await pixels(page.control("strip-a-player")), target, "a cut");
      await page.control("strip-fade").check();
      const blended = await pixels(page.control("strip-a-player"));
      const mean = target.rgba.map((value, index) => (value + second.rgba[index]) / 2);
      assert.ok(rootMeanSquareError(blended.rgba, mean) < 4, "a crossfade");
      await page.control("strip-fade").uncheck();

      await page.control("strip-standard").check();
      await waitForFrames(page, "a", 4, "sample");
      await waitForFrames(page, "b", 8, "sample");
      await waitUntilDrawn(page);
      assert.deepEqual(
        (await labels(page, "a", "sample")).map(({ step }) => step),
        [1, 2, 3, 4],
      );
      const sample = await pixels(frame(page, "a", 1, "sample"));
      assert.ok(
        rootMeanSquareError(sample.rgba, target.rgba) > 20,
        "the noise is not what the model aims at",
      );
      const [above, below] = await Promise.all([
        frame(page, "a", 1, "sample").boundingBox(),
        frame(page, "a", 1).boundingBox(),
      ]);
      assert.ok(above.y < below.y, "the standard view stands above");
      await page.control("strip-standard").uncheck();
      await waitForFrames(page, "a", 0, "sample");

      await page.control("strip-difference").check();
      const brightness = async (step) => {
        const { rgba } = await pixels(frame(page, "a", step));
        return rgba.reduce((sum, value, index) => sum + (index % 4 === 3 ? 0 : value), 0);
      };
      await page.page.waitForFunction(
        () => {
          const last = document.querySelector('[data-testid="strip-a-frame-4"] canvas');
          const copy = new OffscreenCanvas(last.width, last.height);
          const context = copy.getContext("2d", { willReadFrequently: true });
          context.drawImage(last, 0, 0);
          const { data } = context.getImageData(0, 0, last.width, last.height);
          return data.every((value, index) => (index % 4 === 3 ? value === 255 : value === 0));
        },
        undefined,
        { timeout: SOON },
      );
      assert.ok((await brightness(1)) > 0, "the first step is not the last");
      await page.control("strip-difference").uncheck();
      await eventually(async () =>
        assert.deepEqual(await pixels(frame(page, "a", 1)), target, "and back"),
      );
    });
  },
);

test("Figure 5 has a value per step, and its files parse", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: PAIR, prepare: stillStanding }, async ({ page }) => {
    await drawGrid(page, ["base", "distilled"], 1);
    await page.cell("base", 0).click();
    await page.control("figure-5-line-0").waitFor({ timeout: SOON });
    await page.control("figure-5-line-1").waitFor({ timeout: SOON });
    assert.match(await page.control("figure-5").getAttribute("aria-label"), /Base, seed 1: from/);
    await page.control("figure-5-numbers").click();
    const rows = await page.control("figure-5-table").evaluate((table) =>
      [...table.tBodies[0].rows].map((row) => ({
        strip: row.cells[0].innerText,
        distance: Number(row.cells[5].dataset.distance),
      })),
    );
    const distances = ["Base, seed 1", "Distilled, seed 1"].map((name) =>
      rows.filter(({ strip }) => strip === name).map(({ distance }) => distance),
    );
    assert.deepEqual(
      distances.map((all) => all.length),
      [8, 4],
    );
    for (const all of distances) {
      assert.ok(all[0] > all.at(-1), `it comes nearer: ${all}`);
      assert.ok(all.at(-1) < 0.05, `the last target is the picture: ${all}`);
    }

    const save = async (name) => {
      const download = page.page.waitForEvent("download", { timeout: SOON });
      await page.control(name).click();
      const file = await download;
      return {
        name: file.suggestedFilename(),
        text: await readFile(await file.path(), "utf8"),
      };
    };
    const csv = await save("figure-5-csv");
    assert.equal(csv.name, "convergence-base-0-1-distilled-0-1.csv");
    const lines = csv.text.trimEnd().split("\r\n");
    assert.equal(lines[0], "row,seed,prompt,step,steps,timestep,model,share,distance");
    assert.equal(lines.length, 1 + 8 + 4);
    assert.match(lines[1], /^"Base",1,"a red heart",1,8,\d+(\.\d+)?,base,0\.125,0?\.\d+$/);
    const json = await save("figure-5-json");
    const { measure, strips } = JSON.parse(json.text);
    assert.match(measure, /1 − MS-SSIM.*not DreamSim/);
    const labelled = [await labels(page, "a"), await labels(page, "b")];
    for (const [index, strip] of strips.entries()) {
      assert.equal(strip.row, ["Base", "Distilled"][index]);
      assert.equal(strip.seed, 1);
      assert.equal(strip.prompt, "a red heart");
      assert.equal(strip.steps, strip.distances.length);
      assert.deepEqual(strip.distances, distances[index]);
      assert.deepEqual(strip.timesteps, labelled[index].map(({ timestep }) => timestep));
      assert.deepEqual(strip.models, labelled[index].map(({ model }) => model));
    }
  });
});

test("any two cells can lie beneath each other", { timeout: TIMEOUT }, async () => {
  const parameters = { ...PAIR, "base-steps": 3, "distilled-steps": 2, "seed-count": 2 };
  await withPage({ parameters, prepare: stillStanding }, async ({ page }) => {
    await drawGrid(page, ["base", "distilled"], 2);
    await page.cell("distilled", 1).click();
    const beneath = () => page.control("strip-b").getAttribute("data-cell");
    await waitForFrames(page, "b", 3);
    assert.equal(await beneath(), "base-1", "the base model's run of the same seed");
    await page.control("strip-beneath-seed").selectOption("0");
    await page.page.locator('[data-testid="strip-b"][data-cell="base-0"]').waitFor({ timeout: SOON });
    await page.control("strip-beneath-row").selectOption({ label: "Distilled" });
    await page.page
      .locator('[data-testid="strip-b"][data-cell="distilled-0"]')
      .waitFor({ timeout: SOON });
    await waitForFrames(page, "b", 2);
    await page.control("strip-beneath-row").selectOption("");
    await page.control("strip-b").waitFor({ state: "detached", timeout: SOON });
    assert.equal(await page.control("strip-beneath-seed").isDisabled(), true);

    await page.cell("base", 0).click();
    await page.page.locator('[data-testid="strip-a"][data-cell="base-0"]').waitFor({ timeout: SOON });
    await waitForFrames(page, "a", 3);
    // Another grid has other frames.
    await page.pressGenerate();
    await page.page.waitForFunction(
      () => {
        const panel = document.querySelector('[data-testid="strip-panel"]');
        return panel === null || panel.querySelectorAll(".strip-frame").length === 0;
      },
      undefined,
      { timeout: SOON },
    );
    await page.waitForDone(cellNames(["base", "distilled"], 2), TIMEOUT);
  });
});

test("a strip that is opened while its cell runs fills up", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, "distilled-steps": 24 };
  await withPage({ parameters }, async ({ page }) => {
    await page.pressGenerate();
    await page.page
      .locator('[data-testid="cell-distilled-0"][data-model="distilled"]')
      .waitFor({ timeout: TIMEOUT });
    await page.cell("distilled", 0).click();
    await frames(page, "a").first().waitFor({ timeout: SOON });
    const [state, early] = await page.page.evaluate(() => [
      document.querySelector('[data-testid="cell-distilled-0"]').dataset.state,
      document.querySelectorAll('[data-testid^="strip-a-frame-"]').length,
    ]);
    assert.equal(state, "running");
    assert.ok(early < 24, `${early} frames while it runs`);
    await waitForFrames(page, "a", 24);
    await page.waitForDone(["cell-distilled-0"], TIMEOUT);
    await page.control("figure-5-line-0").waitFor({ timeout: SOON });
    assert.deepEqual(
      (await labels(page, "a")).map(({ step }) => step),
      Array.from({ length: 24 }, (_, index) => index + 1),
    );
    assert.equal(await playerStep(page, "a"), 24, "the latest step is on show");
  });
});

test("steps that are no longer kept are drawn again", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: QUICK, prepare: stillStanding }, async ({ page, browser }) => {
    await drawGrid(page, ["distilled"], 1);
    const before = await page.image("distilled", 0);
    browser.expectProblem(/the engine is gone/);
    const [worker] = page.page.workers();
    await worker.evaluate(() => {
      setTimeout(() => {
        throw new Error("the engine is gone");
      });
    });
    await page.waitForStatus([/stopped unexpectedly/], SOON);
    await page.cell("distilled", 0).click();
    await page.control("strip-redraw").click({ timeout: SOON });
    await waitForFrames(page, "a", 2);
    await page.control("figure-5-line-0").waitFor({ timeout: TIMEOUT });
    assert.equal(await page.control("strip-redraw").count(), 0);
    assert.deepEqual(await page.image("distilled", 0), before);
  });
});

test("the frames are those of diffusers", { timeout: TIMEOUT }, async (t) => {
  const targets = pictures.filter(({ step }) => step !== undefined);
  assert.ok(targets.length >= 4, "reference targets are gone");
  const runs = new Map();
  for (const { file, step, ...run } of targets) {
    const key = JSON.stringify(run);
    runs.set(key, [...(runs.get(key) ?? []), { file, step }]);
  }
  for (const [key, group] of runs) {
    const { mode, prompt, seed, options } = JSON.parse(key);
    const parameters = { ...options, prompt, seed, "seed-count": 1, modes: mode, device: "cpu" };
    await withPage({ parameters, prepare: stillStanding }, async ({ page }) => {
      await drawGrid(page, [mode], 1);
      await page.cell(mode, 0).click();
      await waitForFrames(page, "a", Math.max(...group.map(({ step }) => step)));
      await waitUntilDrawn(page);
      for (const { file, step } of group) {
        const expected = PNG.sync.read(await readFile(new URL(file, REFERENCE)));
        const found = await pixels(frame(page, "a", step));
        assert.deepEqual([found.width, found.height], [expected.width, expected.height]);
        const error = rootMeanSquareError(found.rgba, expected.data);
        t.diagnostic(`${file}: RMSE ${error.toFixed(3)} of 255`);
        assert.ok(error <= TOLERANCE, `${file}: RMSE ${error.toFixed(3)} is over ${TOLERANCE}`);
      }
    });
  }
});

test("the panel fits any width", { timeout: TIMEOUT }, async () => {
  const parameters = { ...PAIR, "base-steps": 50 };
  await withPage({ parameters, prepare: stillStanding }, async ({ page }) => {
    await drawGrid(page, ["base", "distilled"], 1);
    await page.cell("base", 0).click();
    await waitForFrames(page, "a", 50);
    await waitForFrames(page, "b", 4);
    await page.control("strip-standard").check();
    await waitForFrames(page, "a", 50, "sample");
    await page.control("strip-difference").check();
    await waitUntilDrawn(page);
    for (const width of [360, 768, 1440, 2560]) {
      for (const colorScheme of ["light", "dark"]) {
        await page.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.page.setViewportSize({ width, height: 900 });
        const { scrollWidth, clientWidth } = await page.page.evaluate(() => {
          const { scrollWidth, clientWidth } = document.documentElement;
          return { scrollWidth, clientWidth };
        });
        assert.ok(scrollWidth <= clientWidth, `${scrollWidth} of ${clientWidth} at ${width} px`);
      }
    }
  });
});
