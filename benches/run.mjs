// Time of one pass of the emoji pair's base UNet in headless Chromium: this project's page and
// onnxruntime-web on the same weights, in one browser, taking turns.
//
// Usage: node benches/run.mjs [rounds]    DIST names the folder with the built page.
//
// The page runs its own worker on the base model without guidance. Its time of a step is the
// difference of two runs that differ in the number of steps alone, so that text encoders and the
// decoding of the image drop out.
//
// Then what an adapter beside the weights costs a step: the bundled style, and the distillation as a LoRA.
// And what one step asks of the GPU: numbers that don't depend on the machine's speed. And how long the
// page's own thread is busy at a stretch meanwhile.

import { Browser } from "../tests/browser/browser.mjs";
import { cellNames, DIST, FirststepPage } from "../tests/browser/page.mjs";
import { StaticServer } from "../tests/browser/server.mjs";
import { measureAdapters } from "./adapters.mjs";
import { measureLongTasks } from "./long_tasks.mjs";
import { median } from "./median.mjs";
import { preparePeer } from "./prepare.mjs";
import { TIMEOUT, recordReports, stepTime } from "./step_time.mjs";

const ROUNDS = Number(process.argv[2] ?? 2);
/** Passes of the peer per round. */
const PASSES = { webgpu: 3, cpu: 10 };
/** This project's name of the device, and the peer's. */
const DEVICES = { webgpu: "webgpu", cpu: "wasm" };

/** What the second pass and the second preview of an image ask of WebGPU; the first ones compile. */
async function countStep(browser, server) {
  const page = new FirststepPage(await browser.newPage(), server.url);
  await page.page.addInitScript(recordReports);
  await page.open({
    prompt: "image of a dog face",
    seed: 1,
    "seed-count": 1,
    modes: "base",
    "base-steps": 2,
    guidance: 1,
    device: "webgpu",
    stats: "",
  });
  await page.pressGenerate();
  await page.waitForDone(cellNames(["base"], 1), TIMEOUT);
  const measurements = await page.page.evaluate(() => globalThis.measurements);
  await page.page.close();
  const last = (isOfPhase) => measurements.findLast(({ phase }) => isOfPhase(phase)).gpu;
  return {
    "UNet pass": last((phase) => phase.UnetPass !== undefined),
    preview: last((phase) => phase === "Preview"),
    "image decode": last((phase) => phase === "ImageDecode"),
  };
}

/** Columns of the counts, by heading. */
const COUNTS = {
  launches: ({ launches }) => launches.total,
  submits: ({ submits }) => submits,
  pipelines: ({ pipelines }) => pipelines.launched,
  "MB bound": ({ bindings }) => (bindings.bytes / 1e6).toFixed(1),
  "largest, MB": ({ bindings }) => (bindings.largestBytes / 1e6).toFixed(1),
  "peak, MB": ({ buffers }) => (buffers.peakBytes / 1e6).toFixed(1),
};

async function describeAdapter(page) {
  return page.evaluate(async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    const { vendor, architecture, description } = adapter?.info ?? {};
    return [vendor, architecture, description].filter(Boolean).join(" ") || "no adapter";
  });
}

async function compare(browser, device, pageServer, peerServer) {
  const page = new FirststepPage(await browser.newPage(), pageServer.url);
  await page.page.addInitScript(recordReports);
  const peer = await browser.newPage();
  await peer.goto(peerServer.url);
  await peer.waitForFunction(() => globalThis.peer !== undefined);
  const adapter = await describeAdapter(peer);
  const difference = await peer.evaluate((name) => globalThis.peer.load(name), DEVICES[device]);
  console.error(`${device}: onnxruntime-web is ready, ${difference.toExponential(1)} from torch`);

  const times = { page: [], peer: [] };
  for (let round = 1; round <= ROUNDS; round += 1) {
    times.page.push(await stepTime(page, device));
    const passes = await peer.evaluate((count) => globalThis.peer.measure(count), PASSES[device]);
    times.peer.push(median(passes));
    console.error(
      `${device}, round ${round} of ${ROUNDS}: page ${times.page.at(-1).toFixed(1)} ms, ` +
        `onnxruntime-web ${times.peer.at(-1).toFixed(1)} ms`,
    );
  }
  await page.page.close();
  await peer.close();
  return { adapter, page: median(times.page), peer: median(times.peer), times };
}

function row(cells) {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(8) : cell.padStart(18))).join("");
}

const peerServer = await StaticServer.start(await preparePeer());
const pageServer = await StaticServer.start(DIST);
const browser = await Browser.launch();
try {
  // onnxruntime-web tells which operators it moves to the CPU.
  browser.expectProblem(/onnxruntime/);
  console.log(row(["device", "page, ms/step", "onnxruntime-web", "page / peer"]));
  for (const device of Object.keys(DEVICES)) {
    const result = await compare(browser, device, pageServer, peerServer);
    const ratio = `${(result.page / result.peer).toFixed(2)}x`;
    console.log(row([device, result.page.toFixed(1), result.peer.toFixed(1), ratio]));
    if (device === "webgpu") {
      console.log(`        adapter: ${result.adapter}`);
    }
  }
  console.log(`\n${"a step with an adapter".padEnd(36)}${["ms", "ms without", "ratio"].map((it) => it.padStart(12)).join("")}`);
  for (const { what, without, together } of await measureAdapters(browser, pageServer, Object.keys(DEVICES), ROUNDS)) {
    const cells = [together.toFixed(1), without.toFixed(1), `${(together / without).toFixed(2)}x`];
    console.log(what.padEnd(36) + cells.map((cell) => cell.padStart(12)).join(""));
  }
  const columns = Object.keys(COUNTS).map((name) => name.padStart(13));
  console.log(`\n${"a step on webgpu".padEnd(18)}${columns.join("")}`);
  for (const [name, counts] of Object.entries(await countStep(browser, pageServer))) {
    const cells = Object.values(COUNTS).map((count) => String(count(counts)).padStart(13));
    console.log(name.padEnd(18) + cells.join(""));
  }
  const heading = ["tasks over 50 ms".padStart(18), "longest, ms".padStart(14)];
  console.log(`\n${"the page's thread".padEnd(30)}${heading.join("")}`);
  for (const { what, tasks } of await measureLongTasks(browser, pageServer)) {
    const longest = tasks.length === 0 ? "" : Math.max(...tasks).toFixed(0);
    console.log(what.padEnd(30) + String(tasks.length).padStart(18) + longest.padStart(14));
  }
  browser.assertNoProblems();
} finally {
  await browser.close();
  await pageServer.close();
  await peerServer.close();
}
