// The reference pictures, which diffusers drew by the same plan, and the comparison with them.
// tools/reference writes them and reference/manifest.json, whose `pictures` are a list of
//   {prompt, seed, mode, device, options, file}
// where `options` are further parameters of the page's address and `device` is "cpu" for a picture
// that the CPU device has to match, and "webgpu" for one that both devices have to match.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

import { PNG } from "pngjs";

import { rootMeanSquareError } from "./page.mjs";

// Of 255. Both sides compute in f32, in another order: what is left is rounding to whole values
// and, at hard edges, the sampler's own amplification of it over the steps.
const TOLERANCE = 3;

export const MODES = ["base", "distilled", "hybrid", "skip"];
const REFERENCE = new URL("reference/", import.meta.url);

const { pictures } = JSON.parse(await readFile(new URL("manifest.json", REFERENCE), "utf8"));
/** Every picture. Entries with a step are Diffusion Targets, which the native tests compare. */
export const entries = pictures.filter((entry) => entry.step === undefined);
/** The pictures that both devices have to match. */
export const webGpuEntries = entries.filter((entry) => entry.device === "webgpu");

/**
 * Groups of entries that one grid can draw: they differ in nothing but seed and mode.
 *
 * @returns {{prompt: string, options: Record<string, string>, firstSeed: number, seedCount: number,
 *   modes: string[], entries: object[]}[]}
 */
export function grids(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const key = JSON.stringify([entry.prompt, entry.options]);
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  return [...groups.values()].map((group) => {
    const seeds = group.map((entry) => entry.seed);
    const firstSeed = Math.min(...seeds);
    return {
      prompt: group[0].prompt,
      options: group[0].options,
      firstSeed,
      seedCount: Math.max(...seeds) - firstSeed + 1,
      modes: MODES.filter((mode) => group.some((entry) => entry.mode === mode)),
      entries: group,
    };
  });
}

/**
 * Fails where a picture is not as its reference.
 *
 * @param {import("node:test").TestContext} t gets the difference as a diagnostic
 * @param {object} entry of `entries`
 * @param {{seed: number, width: number, height: number, rgba: Uint8Array}} image
 * @param {string} device what drew it
 * @param {number} [tolerance]
 */
export async function comparePicture(t, entry, image, device, tolerance = TOLERANCE) {
  const name = `${entry.mode}, seed ${entry.seed}`;
  const expected = PNG.sync.read(await readFile(new URL(entry.file, REFERENCE)));
  assert.equal(image.seed, entry.seed, `${name}: the seed`);
  assert.equal(image.width, expected.width, `${name}: the width`);
  assert.equal(image.height, expected.height, `${name}: the height`);
  const error = rootMeanSquareError(image.rgba, expected.data);
  t.diagnostic(`${device}, ${name}: RMSE ${error.toFixed(3)} of 255`);
  assert.ok(error <= tolerance, `${name}: RMSE ${error.toFixed(3)} is over ${tolerance}`);
}
