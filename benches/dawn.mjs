// Time of one pass of the emoji pair's base UNet on Dawn, Chrome's WebGPU, in Node.js: this project's
// engine and onnxruntime-web on the same weights, in one process, taking turns; in f32, and in f16 where
// the adapter has it.
//
// Usage: tools/setup/with-dawn node benches/dawn.mjs [rounds [f32 or f16]]
//
// DIST names the folder with the built page.
//
// The engine is the page's own worker. Its time of a step is the difference of two images that differ in
// the number of steps alone, so that text encoders and the decoding of the image drop out; the previews
// are not in the worker's time of an image. Both sides read the predicted noise back.

import { cpus, loadavg } from "node:os";

import { Engine } from "../tests/dawn/engine.mjs";
import { median } from "./median.mjs";
import { exportUnet, installPackages } from "./prepare.mjs";

const ROUNDS = Number(process.argv[2] ?? 5);
const STEPS = { few: 1, many: 4 };
/** Passes of the peer per round: as many as lie between the engine's two images. */
const PASSES = STEPS.many - STEPS.few;
const PRECISIONS = process.argv.length > 3 ? process.argv.slice(3) : ["f32", "f16"];

/** Milliseconds of the worker's image with so many steps. */
async function image(engine, steps) {
  const events = await engine.draw({
    prompt: "image of a dog face",
    seed: "1",
    "seed-count": "1",
    modes: ["base"],
    "base-steps": String(steps),
    guidance: "1",
  });
  return events.find(({ name }) => name === "Image").value.milliseconds;
}

/** Milliseconds per step, once. */
async function step(engine) {
  const few = await image(engine, STEPS.few);
  const many = await image(engine, STEPS.many);
  return (many - few) / (STEPS.many - STEPS.few);
}

async function compare(precision) {
  const model = exportUnet(precision);
  const withoutFeatures = precision === "f32" ? ["shader-f16"] : [];
  const engine = await Engine.start({
    withoutFeatures,
    companion: new URL("dawn_peer.mjs", import.meta.url).href,
  });
  try {
    // First, since it reads its files from a server: compiling keeps the process busy for minutes, in
    // which a connection breaks.
    await step(engine);
    const { description, notice } = engine.device;
    console.error(`${precision}: the engine is ready: ${[description, notice].filter(Boolean).join("; ")}`);
    const difference = await engine.ask({ load: model });
    console.error(`${precision}: onnxruntime-web is ready, ${difference.toExponential(1)} from torch`);
    const times = { engine: [], peer: [] };
    for (let round = 1; round <= ROUNDS; round += 1) {
      // Each is first in turn.
      const turns = [
        async () => times.engine.push(await step(engine)),
        async () => times.peer.push(median(await engine.ask({ measure: PASSES }))),
      ];
      for (const turn of round % 2 === 0 ? turns.reverse() : turns) {
        await turn();
      }
      console.error(
        `${precision}, round ${round} of ${ROUNDS}: engine ${times.engine.at(-1).toFixed(1)} ms, ` +
          `onnxruntime-web ${times.peer.at(-1).toFixed(1)} ms, load ${loadavg()[0].toFixed(1)}`,
      );
    }
    // onnxruntime-web tells which operators it moves to the CPU.
    engine.assertNoProblems(/onnxruntime/);
    return { device: engine.device.description, ...mapValues(times, median) };
  } finally {
    await engine.close();
  }
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));
}

function row(cells) {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(12) : cell.padStart(18))).join("");
}

installPackages();
console.log(
  `One pass of the emoji pair's base UNet, with its output read back: medians of ${ROUNDS} rounds in turns.\n` +
    "Not in it: text encoders, previews and the decoding of the image. The engine has the text's keys and\n" +
    "values from the first step on; onnxruntime-web's model computes them in each pass.",
);
console.log(row(["precision", "engine, ms/step", "onnxruntime-web", "engine / peer"]));
let device;
for (const precision of PRECISIONS) {
  const result = await compare(precision);
  device = result.device;
  const ratio = `${(result.engine / result.peer).toFixed(2)}x`;
  console.log(row([precision, result.engine.toFixed(1), result.peer.toFixed(1), ratio]));
}
console.log(
  `adapter: ${device}; ${cpus().length} cores, load in the last 1, 5 and 15 minutes ${loadavg().map((load) => load.toFixed(1)).join(", ")}`,
);
