// Experiments in the page: run, kept over a reload, opened from their file and by their link.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { DIST, FirststepPage, QUICK, eventually } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const STEPS = 8;
const LONG = (await readFile(new URL("../cases/03-over-77-tokens/prompt.txt", import.meta.url), "utf8")).trim();
/** The folder for pictures of the view, to be looked at; none: no pictures. */
const SCREENSHOTS = process.env.SCREENSHOTS;

/** The program for experiments without a browser, as `cargo test` has built it. */
const RUN = fileURLToPath(new URL("../../target/debug/run", import.meta.url));

/** Waits until the experiment on show is in a state. */
function waitForState(page, state) {
  return page.page
    .locator(`[data-testid="experiment-state"][data-state="${state}"]`)
    .waitFor({ timeout: TIMEOUT });
}

/** Pictures of the experiment on show that are there. */
async function pictures(page) {
  const words = await page.control("experiment-state").innerText();
  return Number(/(\d+) of \d+ pictures/.exec(words)?.[1] ?? 0);
}

/** The texts of a table's cells, row by row. */
function table(page, key) {
  return page.control(`table-${key}`).evaluate((table) =>
    [...table.rows].map((row) => [...row.cells].map((cell) => cell.innerText.trim())),
  );
}

/** The bytes of what a control has the browser save. */
async function saved(page, control) {
  const download = page.page.waitForEvent("download");
  await control.click();
  return readFile(await (await download).path());
}

async function drop(page, name, text) {
  const dataTransfer = await page.page.evaluateHandle(
    ({ name, text }) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], name));
      return transfer;
    },
    { name, text },
  );
  await page.page.dispatchEvent("body", "drop", { dataTransfer });
}

async function look(page, name) {
  await page.page.addScriptTag({ path: AXE });
  for (const [width, height, colorScheme] of [
    [1440, 900, "light"],
    [1440, 900, "dark"],
    [380, 800, "dark"],
    [320, 640, "light"],
  ]) {
    await page.page.setViewportSize({ width, height });
    await page.page.emulateMedia({ colorScheme });
    if (SCREENSHOTS !== undefined) {
      const path = join(SCREENSHOTS, `${name}-${width}-${colorScheme}.png`);
      await page.page.screenshot({ path, fullPage: true });
    }
    const overflow = await page.page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    assert.ok(overflow <= 0, `${width} pixels are too narrow by ${overflow}`);
    const violations = await page.page.evaluate(async () => {
      const { violations } = await window.axe.run(document);
      return violations
        .filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160))}`);
    });
    assert.deepEqual(violations, [], `${name}, ${colorScheme}, ${width} pixels wide`);
  }
  await page.page.setViewportSize({ width: 1440, height: 900 });
  await page.page.emulateMedia({ colorScheme: "light" });
}

/** Adds a network by its address, loads it, has it measure and deletes it. */
async function measureByOwnNetwork(page, server) {
  const emoji = join(DIST, "perceptual/emoji");
  const manifest = JSON.parse(await readFile(join(emoji, "manifest.json"), "utf8"));
  const licence = { name: "A licence", url: "https://example.com/licence" };
  Object.assign(manifest, { id: "own", name: "A network of mine", licences_to_accept: [licence] });
  server.fault("/own/manifest.json", { replaceBody: Buffer.from(JSON.stringify(manifest)) });
  const [{ path }] = manifest.components.image_encoder.files;
  server.fault(`/own/${path}`, { replaceBody: await readFile(join(emoji, path)) });

  await page.page.getByText("A network at another address…").click();
  await page.control("network-address").fill(`${server.url}index.html`);
  await page.control("network-add").click();
  await page.control("network-problem").waitFor();
  assert.match(await page.control("network-problem").innerText(), /^[A-Z].*\.$/);
  await page.control("network-address").fill(`${server.url}own/manifest.json`);
  await page.control("network-address").press("Enter");
  await page.control("network-load").waitFor();
  assert.equal(await page.control("network-problem").count(), 0);
  assert.ok(await page.control("network-load").isDisabled(), "its licence comes first");
  await page.control("accept-licence").check();
  await page.control("network-load").click();
  await page.control("table-diversity-own").waitFor({ timeout: TIMEOUT });
  await page.control("network-delete").click();
  await page.control("network-state").waitFor({ state: "detached" });
}

/** What `bin/run` finds with the manifest of these results. */
async function drawnByRun({ manifest }) {
  const folder = await mkdtemp(join(tmpdir(), "firststep-run-"));
  try {
    const file = join(folder, "run.json");
    await writeFile(file, JSON.stringify(manifest));
    await promisify(execFile)(RUN, [file, "--out", join(folder, "out")]);
    return JSON.parse(await readFile(join(folder, "out/results.json"), "utf8"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Asserts that two runs drew the same pictures. Both compute on the CPU, with other instructions: sums are
 * rounded in another order, by which a digest's parts may differ by one of 255.
 */
function assertSame(here, there) {
  assert.equal(here.pictures.length, there.pictures.length);
  for (const [index, picture] of here.pictures.entries()) {
    const other = there.pictures[index];
    assert.deepEqual([picture.prompt, picture.image, picture.seed], [other.prompt, other.image, other.seed]);
    for (const [step, { timestep, digest, distance }] of picture.steps.entries()) {
      const theirs = other.steps[step];
      assert.equal(timestep, theirs.timestep);
      digest.forEach((part, place) => assert.ok(Math.abs(part - theirs.digest[place]) <= 1, `${digest}`));
      assert.ok(Math.abs(distance - theirs.distance) < 1e-3, `${distance} and ${theirs.distance}`);
    }
  }
  for (const [index, { distances }] of here.rows.entries()) {
    const theirs = there.rows[index].distances;
    assert.deepEqual(distances.columns, theirs.columns);
    distances.distances.forEach((it, pair) =>
      assert.ok(Math.abs(it - theirs.distances[pair]) < 1e-3, `${it} and ${theirs.distances[pair]}`),
    );
  }
}

test(
  "an experiment goes on after a reload, and its file and its link bring it back",
  { timeout: TIMEOUT },
  async () => {
    // So many steps that a reload comes before the last picture, however slow the test's own process is.
    const parameters = { ...QUICK, modes: "distilled,hybrid", "distilled-steps": STEPS };
    await withPage({ parameters, isFirstVisit: true }, async ({ page }) => {
      page.page.on("dialog", (dialog) => dialog.accept());
      await page.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);

      await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
      await page.control("experiments").press("Enter");
      await page.control("experiments-view").waitFor();
      assert.equal(await page.control("prompt").isVisible(), false, "the pictures make room");
      await page.control("experiment-prompts").fill("");
      await page.control("experiment-start").click();
      assert.match(await page.control("experiment-prompts-error").innerText(), /no prompt/);
      await page.control("experiment-prompts").fill("a red heart\na blue star");
      await page.control("experiment-images").fill("3");
      await page.page.locator('fieldset input[value="base"]:visible').uncheck();
      const estimate = await page.control("experiment-estimate").innerText();
      assert.match(estimate, /^12 pictures: 2 prompts × 2 conditions × 3 images/);
      await page.control("experiment-start").click();
      await page.page.waitForFunction(
        () => {
          const words = document.querySelector('[data-testid="experiment-state"]').innerText;
          return /\b([4-9]|1\d) of 12 pictures/.test(words);
        },
        null,
        { timeout: TIMEOUT, polling: 50 },
      );

      // In the middle of it.
      await page.reload();
      await page.page.getByText("1 unfinished").waitFor({ timeout: TIMEOUT });
      await page.control("experiments").click();
      await page.control("experiment-open-kept").click();
      await waitForState(page, "paused");
      const before = await pictures(page);
      assert.ok(before >= 3 && before < 12, `${before} pictures were kept`);
      await page.control("experiment-report").waitFor();
      await page.control("experiment-go-on").click();
      await waitForState(page, "finished");
      assert.equal(await pictures(page), 12);

      const diversity = await table(page, "diversity");
      assert.deepEqual(diversity[0], ["Prompt", "Distilled", "Hybrid"]);
      assert.deepEqual(
        diversity.slice(1).map(([prompt]) => prompt),
        ["a red heart", "a blue star", "Average"],
      );
      for (const row of diversity.slice(1)) {
        for (const cell of row.slice(1)) {
          assert.match(cell, /^0\.\d{3} \(.*n = \d+\)$/);
        }
      }
      const figure = page.control("figure-diversity").getByRole("img");
      assert.match(await figure.locator("desc").evaluate((it) => it.textContent), /jackknife/);
      assert.match(await page.control("experiment-report").innerText(), /a proxy, not DreamSim/);
      // A network that comes with the page is loaded as soon as it is chosen, and measures what is kept.
      await page.control("experiment-network").selectOption({ label: "Emoji classifier" });
      await page.control("table-diversity-emoji").waitFor({ timeout: TIMEOUT });
      assert.match(await page.control("network-state").innerText(), /^It is here/);
      const judged = await table(page, "diversity-emoji");
      for (const row of judged.slice(1)) {
        for (const cell of row.slice(1)) {
          assert.match(cell, /^[01]\.\d{3} \(.*n = \d+\)$/);
        }
      }
      const covered = await table(page, "scores-emoji");
      assert.deepEqual(covered[0].slice(0, 3), ["Condition", "Styles", "Backgrounds"]);
      assert.deepEqual(covered.slice(1).map(([mode]) => mode), ["Distilled", "Hybrid"]);
      await look(page, "experiment");

      const csvButton = page.page.getByRole("button", { name: "Save the table Sample diversity as CSV", exact: true });
      const csv = (await saved(page, csvButton)).toString();
      assert.match(csv, /^prompt,distilled,distilled_low,distilled_high,distilled_n,hybrid,/);
      const png = await saved(page, page.page.getByRole("button", { name: /by prompt as PNG$/ }));
      assert.deepEqual(png.subarray(1, 4), Buffer.from("PNG"));
      const json = await saved(page, page.control("experiment-export"));
      const results = JSON.parse(json.toString());
      assert.equal(results.pictures.length, 12);
      assert.ok(results.pictures.every(({ steps }) => steps.length === STEPS));
      // Two prompts in two modes, by structure and by the network.
      assert.deepEqual(
        results.rows.map(({ measure }) => measure).sort(),
        ["emoji", "emoji", "emoji", "emoji", ...Array(4).fill("structural")],
      );
      assert.equal(results.scores.length, 16, "styles, backgrounds, place and size of each row");
      assert.ok(results.rows.every(({ distances }) => distances.distances.length === 3));
      assert.equal(results.manifest.device.kind, "cpu");
      assert.ok(results.manifest.files.every(({ sha256 }) => /^[0-9a-f]{64}$/.test(sha256)));

      // All of it in one file, with the paths of the folder that bin/run writes.
      const all = await saved(page, page.control("experiment-export-all"));
      assert.deepEqual(all.subarray(0, 2), Buffer.from("PK"));
      for (const name of [
        "results.json",
        "report/run.json",
        "report/tables/distances.csv",
        "report/figures/diversity-emoji.svg",
        "pictures/hybrid/02-3.png",
        "latents/distilled/01-1.npy",
      ]) {
        assert.ok(all.includes(name), `the ZIP has ${name}`);
      }

      // Its file opens it where nothing is kept, with the same numbers, and draws them again.
      await page.control("experiment-delete").click();
      await waitForState(page, "nothing");
      assert.equal(await page.control("experiment-open-kept").count(), 0);
      await page.control("experiment-undo").click();
      assert.match(
        await page.control("experiments-kept").innerText(),
        /Sample diversity: a red heart and 1 other prompt\s+.*12 of 12 pictures/,
      );
      await page.control("experiment-delete").click();
      // It is for good once the view is closed.
      await page.control("experiments").click();
      await page.control("prompt").waitFor();
      await page.control("experiments").click();
      await page.control("experiments-kept").waitFor({ state: "hidden" });
      await drop(page, "experiment.json", json.toString());
      await waitForState(page, "finished");
      assert.deepEqual(await table(page, "diversity"), diversity);
      assert.deepEqual(await table(page, "diversity-emoji"), judged);
      // One with numbers that can't be is damaged.
      const impossible = structuredClone(results);
      impossible.rows[0].distances.distances[0] = 1e300;
      await drop(page, "experiment.json", JSON.stringify(impossible));
      await page.control("experiment-problem").getByText("damaged or was changed").waitFor();
      assert.equal(await page.control("experiment-open-kept").count(), 1);
      // The same file again is the same experiment.
      await drop(page, "experiment.json", json.toString());
      await waitForState(page, "finished");
      assert.equal(await page.control("experiment-open-kept").count(), 1);
      // What is opened brings no pictures: nothing is measured, and nothing is wrong.
      assert.equal(await page.control("experiment-problem").count(), 0);
      await page.control("experiment-start").click();
      await waitForState(page, "running");
      await page.control("experiment-pause").click();
      await waitForState(page, "paused");
      await page.control("experiment-go-on").click();
      await waitForState(page, "finished");
      assert.deepEqual(await table(page, "diversity"), diversity);
      await page.control("table-diversity-emoji").waitFor({ timeout: TIMEOUT });
      assert.deepEqual(await table(page, "diversity-emoji"), judged, "the same pictures, the same numbers");

      await page.control("experiment-link").click();
      await page.page.getByText("Link copied.").waitFor();
      const link = await page.page.evaluate(() => navigator.clipboard.readText());
      assert.match(link, /#experiment=diversity&/);
      await page.page.goto("about:blank");
      await page.page.goto(link);
      await page.control("experiment-prompts").waitFor({ timeout: TIMEOUT });
      assert.equal(
        await page.control("experiment-prompts").inputValue(),
        "a red heart\na blue star",
      );
      assert.equal(await page.control("experiment-images").inputValue(), "3");
      await waitForState(page, "nothing");
      await page.control("experiments").click();
      await page.control("prompt").waitFor();
      assert.deepEqual(await page.cellStates(), {}, "a link draws nothing by itself");
    });
  },
);

test(
  "one tab draws an experiment, its prompts are judged beforehand, and the keyboard keeps its place",
  { timeout: TIMEOUT },
  async () => {
    const parameters = { ...QUICK, "distilled-steps": STEPS };
    await withPage({ parameters }, async ({ page, server, browser }) => {
      const focused = (page) => page.page.evaluate(() => document.activeElement.dataset.testid);
      const focusIs = (page, handle) => eventually(async () => assert.equal(await focused(page), handle));
      const notes = page.control("experiment-prompt-notes");
      // The tokenizers come with the weights.
      await page.pressGenerate();
      await page.waitForDone(["cell-distilled-0"], TIMEOUT);
      await page.control("experiments").press("Enter");
      await page.control("experiment-prompts").fill(`a zorgle\n${LONG}\n(a star:1.4)`);
      await notes.getByText("A prompt is longer than the text encoders read.").waitFor();
      await notes.getByText("Brackets, their numbers and BREAK are read as text.").waitFor();
      await notes.getByText("This pair never saw “zorgle”").waitFor();
      await page.control("experiment-prompts").fill("a red heart");
      await eventually(async () => assert.equal(await notes.innerText(), ""));

      await page.control("experiment-images").fill("400");
      for (const mode of ["base", "hybrid"]) {
        await page.page.locator(`fieldset input[value="${mode}"]:visible`).uncheck();
      }
      await page.control("experiment-start").press("Enter");
      await waitForState(page, "running");
      await focusIs(page, "experiment-state");
      await page.control("experiment-pause").press("Enter");
      await waitForState(page, "paused");
      await focusIs(page, "experiment-go-on");
      await page.control("experiment-go-on").press("Enter");
      await waitForState(page, "running");
      await focusIs(page, "experiment-pause");

      // Beside the pictures it says what is drawn, and what became of it.
      await page.control("experiments").press("Enter");
      await page.waitForStatus([/^Drawing the experiment…/], TIMEOUT);
      await page.control("cancel").press("Enter");
      await page.page.getByText(/^paused at \d+ of 400$/).waitFor();
      await page.control("experiments").press("Enter");
      await page.control("experiment-problem").getByText("as its grid was cancelled").waitFor();
      await page.control("experiment-go-on").press("Enter");
      await waitForState(page, "running");

      const other = new FirststepPage(await browser.newPage(), server.url);
      await other.open(parameters);
      await other.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
      await other.control("experiments").press("Enter");
      await other.control("experiment-open-kept").press("Enter");
      await waitForState(other, "paused");
      await other.control("experiment-go-on").press("Enter");
      await other.control("experiment-problem").getByText("Another tab draws this experiment: watch").waitFor();
      await other.control("experiment-delete").press("Enter");
      await other.control("experiment-problem").getByText("it was not deleted here").waitFor();
      await page.control("experiment-pause").press("Enter");
      await waitForState(page, "paused");
      await other.control("experiment-go-on").press("Enter");
      await waitForState(other, "running");
      await other.control("experiment-cancel").press("Enter");
      await waitForState(other, "nothing");
      await focusIs(other, "experiment-state");
      await other.control("experiment-delete").press("Enter");
      await focusIs(other, "experiment-undo");
      await other.control("experiment-undo").press("Enter");
      await focusIs(other, "experiments-kept");
      // What is deleted stays so, also where the page is left before it is for good.
      await other.control("experiment-delete").press("Enter");
      await focusIs(other, "experiment-undo");
      await other.reload();
      await other.control("experiments").press("Enter");
      await eventually(async () => assert.equal(await other.control("experiment-open-kept").count(), 0));
      assert.ok(await other.control("experiments-kept").isHidden());
    });
  },
);

test(
  "targets are measured as without a browser, a table brings prompts, and a damaged link is a sentence",
  { timeout: TIMEOUT },
  async () => {
    const parameters = { ...QUICK, modes: "distilled" };
    await withPage({ parameters, isFirstVisit: true }, async ({ page, server }) => {
      await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
      await drop(page, "prompts.csv", 'id,prompt\n1,"a red, heart"\n');
      await page.control("experiments-view").waitFor();
      assert.equal(await page.control("experiment-prompts").inputValue(), "a red, heart");
      await drop(page, "list.csv", "a blue star\na red heart\n");
      assert.equal(
        await page.control("experiment-prompts").inputValue(),
        "a blue star\na red heart",
        "a list without a header loses none",
      );
      // What can't be used is a sentence, and what is there stays.
      for (const [name, text, sentence] of [
        ["two.csv", "nr,text\n1,a dog\n", /prompt or caption/],
        ["empty.csv", " \n", /no prompt/],
        ["tokenizer.json", '{"model": {}, "added_tokens": []}', /“tokenizer.json” is a tokenizer/],
        ["other.json", "{}", /“other.json” is neither a recipe/],
        ["empty.json", "", /“empty.json” is empty/],
        ["cut.json", '{"study": ', /“cut.json” can't be read/],
      ]) {
        await drop(page, name, text);
        const problem = page.control("experiment-problem").filter({ hasText: sentence });
        await problem.waitFor({ timeout: 30_000 });
      }
      assert.equal(await page.control("experiment-prompts").inputValue(), "a blue star\na red heart");
      await drop(page, "prompts.csv", 'id,prompt\n1,"a red, heart"\n');
      await page.control("experiment-problem").waitFor({ state: "detached" });
      await page.control("experiment-study").selectOption("convergence");
      await page.control("experiment-images").fill("2");
      for (const mode of ["base", "hybrid"]) {
        await page.page.locator(`fieldset input[value="${mode}"]:visible`).uncheck();
      }
      await page.control("experiment-start").click();
      await waitForState(page, "finished");
      const curve = await table(page, "convergence");
      assert.deepEqual(
        curve.slice(1).map(([, step, share]) => [step, share]),
        [
          ["1", "0.500"],
          ["2", "1.000"],
        ],
      );
      await page.control("figure-convergence").getByRole("img").waitFor();
      await look(page, "convergence");
      const here = JSON.parse((await saved(page, page.control("experiment-export"))).toString());
      assertSame(here, await drawnByRun(here));
      await measureByOwnNetwork(page, server);
      // What was kept of the targets is measured by a network that comes later, and saved.
      await page.control("experiment-network").selectOption({ label: "Emoji classifier" });
      await page.control("table-convergence-emoji").waitFor({ timeout: TIMEOUT });
      const judged = await table(page, "convergence-emoji");
      assert.match(judged[1][3], /^[01]\.\d{3}/);
      assert.match(judged[2][3], /^0\.000/, "the last target is the image");
      const all = await saved(page, page.control("experiment-export-all"));
      for (const name of ["report/figures/convergence-emoji.svg", "report/tables/targets.csv", "targets/distilled/01-1.png"]) {
        assert.ok(all.includes(name), `the ZIP has ${name}`);
      }

      await page.page.evaluate(() => {
        location.hash = "#experiment=k&experiment-images=3&experiment-sum=00000000";
      });
      await page.control("experiment-problem").waitFor();
      assert.match(await page.control("experiment-problem").innerText(), /damaged or edited/);
    });
  },
);
