// www/programs.mjs on a small program, and the engine's programs: all of them are compiled before the first
// step is taken.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { create, globals } from "webgpu";

import { prepareGpu } from "../../www/programs.mjs";
import { Engine } from "./engine.mjs";

const TIMEOUT = 60 * 60_000;
const SIZE = 256;

Object.assign(globalThis, globals);
const { GPUBufferUsage: Usage, GPUMapMode } = globals;
const programs = prepareGpu();
// Dawn ends the process if its instance is collected while an object of it is alive.
globalThis.gpu = create([]);

/** @type {GPUDevice} */
let device;
before(async () => {
  const adapter = await globalThis.gpu.requestAdapter();
  device = await adapter.requestDevice();
});
after(() => device.destroy());

/** A pipeline that multiplies by a factor, of a shader that is new with each factor. */
function scale(factor, code = "") {
  const module = device.createShaderModule({
    code: /* wgsl */ `
      @group(0) @binding(0) var<storage, read_write> values: array<f32>;
      @compute @workgroup_size(64)
      fn scale(@builtin(global_invocation_id) id: vec3u) { values[id.x] *= ${factor}; ${code} }`,
  });
  return device.createComputePipeline({ label: "scale", layout: "auto", compute: { module } });
}

/** Launches a pipeline on numbers that are 2, and gives the last one. */
async function launch(pipeline) {
  const values = device.createBuffer({
    size: SIZE,
    usage: Usage.STORAGE | Usage.COPY_DST | Usage.COPY_SRC,
  });
  const read = device.createBuffer({ size: SIZE, usage: Usage.MAP_READ | Usage.COPY_DST });
  device.queue.writeBuffer(values, 0, new Float32Array(SIZE / 4).fill(2));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const layout = pipeline.getBindGroupLayout(0);
  const entries = [{ binding: 0, resource: { buffer: values } }];
  pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(values, 0, read, 0, SIZE);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  return new Float32Array(read.getMappedRange())[63];
}

/** Makes pipelines ahead. */
function ahead(make) {
  programs.isAhead = true;
  const made = make();
  programs.isAhead = false;
  return made;
}

async function ended() {
  while (programs.ended < programs.begun) {
    await programs.next();
  }
}

test("what is compiled ahead computes, whether it is launched before or after", async () => {
  assert.equal(await launch(scale(3)), 6, "what is not compiled ahead computes as ever");
  programs.forget();
  const [early, late] = ahead(() => [scale(5), scale(7)]);
  assert.deepEqual([programs.begun, programs.ended], [2, 0], "nothing waits for it");
  assert.equal(await launch(early), 10);
  await ended();
  assert.equal(await launch(late), 14);
  assert.equal(await launch(early), 10, "once more");
  assert.equal(programs.failure, undefined);
  programs.forget();
  assert.deepEqual([programs.begun, programs.ended], [0, 0]);
  await programs.next();
});

test("what can't be compiled is told, and is no error of the device", async () => {
  const errors = [];
  device.addEventListener("uncapturederror", ({ error }) => errors.push(error));
  programs.forget();
  device.pushErrorScope("validation");
  ahead(() => [scale(11), scale(13, "broken")]);
  await device.popErrorScope();
  await ended();
  assert.deepEqual([programs.begun, programs.ended], [2, 2]);
  assert.match(programs.failure, /^scale: /);
  assert.deepEqual(errors, []);
});

/** The kernels that are quick where "the card" is a CPU. */
const FORMS = {
  matmul: "Registers",
  convolution: "Registers",
  attention: "Registers",
  norm: "Registers",
};
const LEAST = { withoutFeatures: ["shader-f16", "subgroups"] };

for (const [name, start] of [
  ["f16", () => Engine.start()],
  ["f32", () => Engine.start(LEAST)],
  [
    "f16, in batches",
    () => Engine.startWithForms({ description: "a graphics card" }, FORMS),
  ],
]) {
  test(`a job's programs are compiled before its first step: ${name}`, { timeout: TIMEOUT }, async (t) => {
    const engine = await start();
    try {
      const recipes = [
        { modes: ["distilled"], "seed-count": 3, "distilled-steps": 2 },
        { modes: ["base"], "seed-count": 3, "base-steps": 2 },
        { modes: ["base", "distilled", "hybrid"], "distilled-steps": 2, "base-steps": 2 },
      ];
      const begun = [];
      for (const recipe of recipes) {
        const events = await engine.draw({ prompt: "a red heart", seed: 1, "seed-count": 1, ...recipe });
        const prepared = events.findLastIndex((event) => event.name === "Preparing");
        const created = (some) =>
          some.reduce((sum, { counts }) => sum + counts.pipelines.created, 0);
        begun.push(created(events.slice(0, prepared + 1)));
        const late = events.slice(prepared + 1).filter(({ counts }) => counts.pipelines.created > 0);
        assert.deepEqual(
          late.map(({ name, counts }) => [name, counts.pipelines, counts.launches.byKernel]),
          [],
          "nothing is compiled while a picture is drawn",
        );
        const [first] = events.filter((event) => event.name === "Preparing");
        assert.ok(begun.length > 1 || first.value.total === 0, "the page is told before it is known");
        const { done, total } = events[Math.max(prepared, 0)].value ?? {};
        assert.equal(done, total, "all of them are ready in the end");
      }
      t.diagnostic(`programs compiled by the jobs: ${begun.join(", ")}`);
      assert.ok(begun[0] > 20 && begun[2] === 0, `${begun}`);
      engine.assertNoProblems();
    } finally {
      await engine.close();
    }
  });
}
