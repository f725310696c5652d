// What an adapter beside a model's weights costs a step, with it and without it taking turns.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { FirststepPage } from "../tests/browser/page.mjs";
import { median } from "./median.mjs";
import { recordReports, stepTime } from "./step_time.mjs";

const FOLDER = new URL("../public/pairs/emoji/adapters/", import.meta.url);
/** A style of rank 8, and the distilled model's difference from the base. */
const NAMES = ["ink", "distillation-64-small"];

/** A bundled adapter's file, and as links spell it, at full strength in every step. */
export async function bundled(name) {
  const { adapters } = JSON.parse(await readFile(new URL("adapters.json", FOLDER), "utf8"));
  const { file, sha256 } = adapters.find((adapter) => adapter.name === name);
  return { name, path: fileURLToPath(new URL(file, FOLDER)), use: `${sha256}:1:both:1000:all:${name}` };
}

/** Milliseconds of a step with and without each adapter on each device: medians over the rounds. */
export async function measureAdapters(browser, server, devices, rounds) {
  const page = new FirststepPage(await browser.newPage(), server.url);
  await page.page.addInitScript(recordReports);
  const results = [];
  for (const device of devices) {
    for (const adapter of await Promise.all(NAMES.map(bundled))) {
      const times = { without: [], together: [] };
      for (let round = 0; round < rounds; round += 1) {
        times.without.push(await stepTime(page, device));
        times.together.push(await stepTime(page, device, adapter));
      }
      const what = `${device}, ${adapter.name}`;
      results.push({ what, without: median(times.without), together: median(times.together) });
    }
  }
  await page.page.close();
  return results;
}
