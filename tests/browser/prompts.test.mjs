// Prompts that are longer than a text encoder reads at once, prompts with a syntax, and what is taken over
// of other programs' pictures.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { drop, png, webp } from "./drop.mjs";
import { QUICK, cellNames, eventually, rootMeanSquareError } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
const CASES = new URL("../cases/", import.meta.url);
const LONG = (await readFile(new URL("03-over-77-tokens/prompt.txt", CASES), "utf8")).trim();
const CELLS = cellNames(["distilled"], 1);

async function draw(page) {
  await page.pressGenerate();
  await page.waitForDone(CELLS, TIMEOUT);
  return (await page.image("distilled", 0)).rgba;
}

/** Waits until a part of the page says this. */
const says = (page, handle, pattern) =>
  eventually(async () => assert.match(await page.control(handle).innerText(), pattern), 30_000);

const hash = (page) => page.page.evaluate(() => decodeURIComponent(location.hash));

test(
  "the tokens are counted while somebody types, and what is cut is read on demand",
  { timeout: 3 * TIMEOUT },
  async () => {
    await withPage({ parameters: QUICK }, async ({ page }) => {
      await draw(page);
      await says(page, "prompt-tokens", /^3 tokens in each text encoder, of 75$/);
      assert.equal(await page.control("negative-prompt-tokens").innerText(), "");

      await page.control("prompt").fill(LONG);
      await says(page, "prompt-tokens", /^85 tokens in each text encoder, of 75\n/);
      const marked = page.control("prompt-tokens").locator("mark");
      const cut = ", masterpiece, in the foreground a small red boat";
      assert.equal(await marked.innerText(), cut);
      const before = await draw(page);
      // The words without effect have none.
      await page.control("prompt").fill(LONG.slice(0, -"a small red boat".length));
      assert.deepEqual(await draw(page), before);

      await page.control("prompt").fill(LONG);
      await page.control("prompt-tokens").getByRole("button").click();
      await says(page, "prompt-tokens", /^85 tokens in each text encoder, in 2 chunks of 75$/);
      assert.ok(await page.control("long-prompts").isChecked());
      await eventually(async () => assert.match(await hash(page), /long-prompts=on/));
      const long = await draw(page);
      assert.ok(rootMeanSquareError(long, before) > 0.1, "the end of the prompt has an effect");

      // A longer negative prompt, with guidance: both passes have as many chunks.
      await page.control("negative-prompt").fill(`${LONG}, ${LONG}`);
      await says(page, "negative-prompt-tokens", /^171 tokens.*in 3 chunks/);
      await page.control("distilled-guidance").fill("2");
      assert.notDeepEqual(await draw(page), long);

      // The choice comes back with the address, and the tokens before anything is drawn.
      await page.reload();
      await says(page, "prompt-tokens", /^85 tokens in each text encoder, in 2 chunks of 75$/);

      // A job that runs holds up no count.
      await page.control("base-steps").fill("100");
      await page.control("mode-base").check();
      await page.control("mode-distilled").uncheck();
      await page.control("negative-prompt").fill("");
      await page.pressGenerate();
      await page.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
      await page.control("prompt").fill("a blue fish");
      await says(page, "prompt-tokens", /^3 tokens/);
      assert.deepEqual(await page.cellStates(), { "cell-base-0": "running" });
      await page.control("cancel").click();
      await page.waitForStatus([/cancelled/i], TIMEOUT);
    });
  },
);

test("brackets are text until somebody wants weights", { timeout: 2 * TIMEOUT }, async () => {
  const prompt = "a (red:1.6) heart BREAK [blue] <lora:hearts:0.8>";
  await withPage({ parameters: { ...QUICK, prompt } }, async ({ page }) => {
    await says(page, "prompt-notes", /Brackets.*read as text.*\n*.*read as text: <lora:hearts:0\.8>/);
    const plain = await draw(page);
    await page.control("prompt-notes").getByRole("button").click();
    await says(page, "prompt-notes", /^Without effect.*<lora:hearts:0\.8>\.$/);
    await says(page, "prompt-tokens", /^4 tokens in each text encoder, in 2 chunks of 75$/);
    await eventually(async () => assert.match(await hash(page), /weighted-prompt=on/));
    const weighted = await draw(page);
    assert.notDeepEqual(weighted, plain);
    await page.control("prompt").fill("a red heart BREAK blue");
    assert.notDeepEqual(await draw(page), weighted, "weights have an effect");

    // Without any syntax both readings are the same picture.
    await page.control("prompt").fill("a red heart");
    const without = await draw(page);
    await page.control("weighted-prompt").uncheck();
    assert.deepEqual(await draw(page), without);
  });
});

test("each program's picture fills the fields", { timeout: TIMEOUT }, async () => {
  const prompt = "lighthouse on a cliff, storm, oil painting";
  const civitai = `${prompt}\nNegative prompt: blurry\nSteps: 25, Sampler: Euler a, CFG scale: 6, Seed: 11, Size: 8x8`;
  const pictures = [
    ["fooocus-json.png", /Fooocus's.*1024 × 1024 is left out/, "11", "30", "4", true],
    ["invokeai.png", /InvokeAI's/, "11", "30", "6", false],
    ["comfyui.png", /ComfyUI's.*965400086123 as 3327411819/, "3327411819", "25", "6", true],
    ["novelai.png", /NovelAI's/, "11", "28", "5", false],
    ["civitai.jpeg", /another program's/, "11", "25", "6", true],
    ["civitai.webp", /another program's/, "11", "25", "6", true, webp(civitai)],
    ["forge.png", /another program's/, "11", "25", "6", true, png({ parameters: civitai })],
  ];
  await withPage({ parameters: { device: "cpu" } }, async ({ page }) => {
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
    for (const [name, sentence, seed, steps, guidance, isWeighted, made] of pictures) {
      await page.control("prompt").fill("a bus");
      await page.control("seed").fill("1");
      const bytes = made ?? (await readFile(new URL(`20-other-metadata/${name}`, CASES)));
      await drop(page, name, bytes, `image/${name.split(".").at(-1)}`);
      await page.waitForStatus([sentence, /Taken over: its prompt/], 30_000);
      const value = (control) => page.control(control).inputValue();
      assert.equal(await value("prompt"), prompt, name);
      assert.equal(await value("negative-prompt"), name === "novelai.png" ? "" : "blurry", name);
      assert.deepEqual(
        [await value("seed"), await value("base-steps"), await value("guidance")],
        [seed, steps, guidance],
        name,
      );
      assert.equal(await page.control("weighted-prompt").isChecked(), isWeighted, name);
      assert.ok(await page.control("long-prompts").isChecked(), name);
    }
    const syntax = await readFile(new URL("08-a1111-syntax/parameters.txt", CASES), "utf8");
    await drop(page, "a1111.png", png({ parameters: syntax }));
    await page.waitForStatus([/mean what they mean there.*<lora:OilPaint_XL:0\.8>, embedding:easyneg/], 30_000);
    // What has another form is told so, and changes nothing.
    await drop(page, "odd.png", png({ Comment: "a walk by the sea" }));
    await page.waitForStatus([/has texts \(Comment\), but no settings in a form that is known/], 30_000);
    assert.deepEqual(await page.cellStates(), {}, "nothing is drawn by itself");
  });
});
