// Time of single blocks of SDXL's UNet: this project's kernels and onnxruntime-web on the same driver,
// taking turns.
//
// Usage: tools/setup/with-dawn node benches/blocks.mjs [rounds [pattern]]
//
// The kernels run natively (`benches/native`): over Vulkan on Linux, with shaders by naga, where
// onnxruntime-web has WebGPU on Dawn, with shaders by Tint, in this process. NATIVE_BENCH names the
// benchmark's executable; else cargo builds it. Values come from the kernels' tests, not from here:
// onnxruntime-web's are checked against torch.

import { spawn } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { create, globals } from "../tests/dawn/webgpu.mjs";
import { median } from "./median.mjs";
import { exportBlocks, installPackages } from "./prepare.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ROUNDS = Number(process.argv[2] ?? 5);
const PATTERN = process.argv[3] ?? "";
/** A block, the weights of the kernels and of the peer's model, and the type of the activations. */
const CASES = [
  ["transformer", "f32", "f32", "f32"],
  ["transformer", "q4", "q4", "f32"],
  ["transformer", "f16", "f16", "f16"],
  ["transformer", "q4", "q4", "f16"],
  ["resnet", "f32", "f32", "f32"],
  ["resnet", "q4", "f32", "f32"],
  ["resnet", "f16", "f16", "f16"],
  ["resnet", "q4", "f16", "f16"],
].filter((words) => words.join(",").includes(PATTERN));
/** The two forms of the kernels, and what has the benchmark take them. */
const FORMS = { registers: ["--software"], shared: [] };

/** A block of the native benchmark, which runs once when it is asked. */
class NativeBlock {
  #process;
  #lines;

  static async start(name, form) {
    const block = new NativeBlock();
    const words = [`--block=${name}`, ...FORMS[form]];
    const own = process.env.NATIVE_BENCH;
    const [command, args] =
      own === undefined
        ? ["cargo", ["bench", "--locked", "--features", "gpu", "--bench", "native", "--", ...words]]
        : [own, words];
    block.#process = spawn(command, args, { cwd: ROOT, stdio: ["pipe", "pipe", "inherit"] });
    block.#lines = createInterface({ input: block.#process.stdout })[Symbol.asyncIterator]();
    while ((await block.#next()) !== "ready");
    return block;
  }

  async run() {
    this.#process.stdin.write("\n");
    return Number(await this.#next());
  }

  /** It ends with its input. */
  close() {
    this.#process.stdin.end();
  }

  async #next() {
    const { value, done } = await this.#lines.next();
    if (done) {
      throw new Error("benches/native ended early: see what it said above.");
    }
    return value;
  }
}

async function compare([block, weights, peerWeights, activations], answer) {
  const path = join(folder, `${block}_${peerWeights}_${activations}`);
  const load = { model: `${path}.onnx`, described: `${path}.json` };
  const difference = await answer({ load });
  const name = `${block},${weights},${activations}`;
  console.error(`${name}: onnxruntime-web is ${difference.toExponential(1)} from torch`);
  const turns = { peer: async () => (await answer({ measure: 1 }))[0] };
  const blocks = [];
  try {
    for (const form of Object.keys(FORMS)) {
      const own = await NativeBlock.start(name, form);
      blocks.push(own);
      turns[form] = () => own.run();
    }
    const times = Object.fromEntries(Object.keys(turns).map((name) => [name, []]));
    const order = Object.keys(turns);
    for (let round = 1; round <= ROUNDS; round += 1) {
      for (const name of order) {
        times[name].push(await turns[name]());
      }
      order.reverse();
    }
    return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
  } finally {
    blocks.forEach((block) => block.close());
  }
}

function row(cells) {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(24) : cell.padStart(18))).join("");
}

installPackages();
const folder = exportBlocks();
Object.assign(globalThis, globals);
// Dawn ends the process if its instance is collected while an object of it is alive.
globalThis.gpu = create([]);
Object.defineProperty(globalThis, "navigator", {
  value: { gpu: globalThis.gpu, userAgent: `Node.js ${process.version}`, hardwareConcurrency: 1 },
});
globalThis.self = globalThis;
const { answer } = await import("./dawn_peer.mjs");
console.log(
  `Blocks of SDXL's UNet, inputs written and outputs read back: medians of ${ROUNDS} rounds in turns, in ms.\n` +
    "The kernels run natively over the machine's graphics API with naga's shaders; onnxruntime-web on Dawn\n" +
    "with Tint's: the driver is the same, the way to it isn't. onnxruntime-web has no quantized convolution:\n" +
    "beside the resnet block with q4 it has the weights of its activations' type.",
);
console.log(
  row(["block,weights,type", "registers", "shared", "onnxruntime-web", "registers / peer", "shared / peer"]),
);
for (const words of CASES) {
  const { registers, shared, peer } = await compare(words, answer);
  const [block, weights, , activations] = words;
  const numbers = [registers, shared, peer].map((time) => time.toFixed(0));
  const ratios = [registers, shared].map((time) => `${(time / peer).toFixed(2)}x`);
  console.log(row([`${block},${weights},${activations}`, ...numbers, ...ratios]));
}
const loads = loadavg().map((load) => load.toFixed(1));
console.log(`${cpus().length} cores, load in the last 1, 5 and 15 minutes ${loads.join(", ")}`);
process.exit();
