// How different the seeds of a prompt are, by mode: what the page itself says of 10 prompts × 16
// seeds, and the mean over the prompts with its 95 % interval.
//
// Usage: node benches/diversity.mjs [prompts]    DIST names the folder with the built page.
//
// The distance is the page's structural dissimilarity (1 − MS-SSIM on luma and chroma), a proxy that
// needs no weights: its numbers can be compared with each other, and not with DreamSim's.

import { Browser } from "../tests/browser/browser.mjs";
import { cellNames, DIST, FirststepPage } from "../tests/browser/page.mjs";
import { StaticServer } from "../tests/browser/server.mjs";

const PROMPTS = [
  "image of a dog face",
  "picture of a pizza",
  "red apple",
  "a fire engine",
  "an octopus",
  "a rocket",
  "a house",
  "a guitar",
  "a tree on a hill",
  "a bus",
];
const MODES = ["base", "distilled", "hybrid", "skip"];
const SEEDS = 16;
const TIMEOUT = 60 * 60_000;
/** Student's t for 95 %, by degrees of freedom from 1 on. */
const STUDENT = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

function summary(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const error = Math.sqrt(squares / (values.length - 1) / values.length);
  const margin = error * STUDENT[values.length - 2];
  return `${mean.toFixed(3)} [${(mean - margin).toFixed(3)}, ${(mean + margin).toFixed(3)}]`;
}

const prompts = PROMPTS.slice(0, Number(process.argv[2] ?? PROMPTS.length));
if (prompts.length < 2) {
  throw new Error("An interval needs at least two prompts.");
}
const found = Object.fromEntries(MODES.map((mode) => [mode, []]));
const server = await StaticServer.start(DIST);
const browser = await Browser.launch({ webgpu: "off" });
try {
  const page = new FirststepPage(await browser.newPage(), server.url);
  for (const prompt of prompts) {
    await page.open({ prompt, seed: 0, "seed-count": SEEDS, modes: MODES.join(","), device: "cpu" });
    await page.pressGenerate();
    await page.waitForDone(cellNames(MODES, SEEDS), TIMEOUT);
    const row = [];
    for (const mode of MODES) {
      const { mean, margin, n } = await page
        .control(`diversity-${mode}`)
        .evaluate((element) => ({ ...element.dataset }));
      found[mode].push(Number(mean));
      row.push(`${mode} ${Number(mean).toFixed(3)} ± ${Number(margin).toFixed(3)} (n = ${n})`);
    }
    console.log(`${prompt}: ${row.join(", ")}`);
  }
} finally {
  await browser.close();
  await server.close();
}
console.log(`\nmean of ${prompts.length} prompts × ${SEEDS} seeds, with its 95 % interval over prompts`);
for (const mode of MODES) {
  console.log(`${mode}: ${summary(found[mode])}`);
}
// Prompts differ more than modes do: the same prompts paired say more.
for (const mode of MODES.filter((mode) => mode !== "distilled")) {
  const more = found[mode].map((mean, prompt) => mean - found.distilled[prompt]);
  console.log(`${mode} above distilled, by prompt: ${summary(more)}`);
}
