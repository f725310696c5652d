// The counters of www/gpu_counters.mjs on a small program whose numbers are known.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { create, globals } from "webgpu";

import { countGpu } from "../../www/gpu_counters.mjs";

const SIZE = 256;
const KERNEL = /* wgsl */ `
@group(0) @binding(0) var<storage, read> factor: array<f32>;
@group(0) @binding(1) var<storage, read_write> values: array<f32>;
@compute @workgroup_size(64)
fn scale(@builtin(global_invocation_id) id: vec3u) { values[id.x] *= factor[0]; }
`;

Object.assign(globalThis, globals);
const { GPUBufferUsage: Usage, GPUMapMode } = globals;
const counters = countGpu();
// Dawn ends the process if its instance is collected while an object of it is alive.
globalThis.gpu = create([]);

/** @type {GPUDevice} */
let device;
before(async () => {
  const adapter = await globalThis.gpu.requestAdapter();
  device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has("shader-f16") ? ["shader-f16"] : [],
  });
});
after(() => device.destroy());

function kernel(label) {
  const module = device.createShaderModule({ code: KERNEL });
  return device.createComputePipeline({
    label,
    layout: "auto",
    compute: { module, entryPoint: "scale" },
  });
}

function buffer(usage, size = SIZE) {
  return device.createBuffer({ size, usage });
}

test("launches, bindings, copies and buffers are counted, and the program computes as ever", async () => {
  counters.reset();
  const factor = buffer(Usage.STORAGE | Usage.COPY_DST, 512);
  const values = buffer(Usage.STORAGE | Usage.COPY_DST | Usage.COPY_SRC);
  const read = buffer(Usage.MAP_READ | Usage.COPY_DST);
  device.queue.writeBuffer(factor, 0, new Float32Array([0, 0, 3, 0]), 2, 1);
  device.queue.writeBuffer(values, 0, new Float32Array(SIZE / 4).fill(2));
  const encoder = device.createCommandEncoder();
  for (const [label, launches] of [
    ["", 2],
    ["named", 1],
  ]) {
    const pipeline = kernel(label);
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: { buffer: factor, offset: 0, size: 16 } },
        { binding: 1, resource: { buffer: values } },
      ],
    });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    for (let launch = 0; launch < launches; launch += 1) {
      pass.dispatchWorkgroups(1);
    }
    pass.end();
  }
  encoder.copyBufferToBuffer(values, 0, read, 0, SIZE);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  assert.equal(new Float32Array(read.getMappedRange())[63], 2 * 3 ** 3);
  read.unmap();
  read.destroy();
  read.destroy();

  const counts = counters.snapshot();
  assert.deepEqual(counts.launches, { total: 3, byKernel: { scale: 2, named: 1 } });
  assert.deepEqual(counts.pipelines, { created: 2, launched: 2 });
  assert.equal(counts.submits, 1);
  assert.deepEqual(counts.bindings, { bytes: 3 * (16 + SIZE), largestBytes: SIZE });
  assert.deepEqual(counts.writes, { calls: 2, bytes: 4 + SIZE });
  assert.deepEqual(counts.copies, { calls: 1, bytes: SIZE });
  assert.equal(counts.readbacks, 1);
  assert.equal(counts.shaders.created, 2);
  assert.equal(counts.shaders.largestBytes, Buffer.byteLength(KERNEL));
  assert.deepEqual(counts.buffers, {
    created: 3,
    destroyed: 1,
    collected: 0,
    count: 2,
    bytes: 512 + SIZE,
    peakBytes: 512 + 2 * SIZE,
    largestBytes: 512,
  });
  assert.deepEqual(counts.errors, []);
  assert.deepEqual(JSON.parse(JSON.stringify(counts)), counts, "counts are plain JSON");

  counters.reset();
  const { launches, buffers } = counters.snapshot();
  assert.deepEqual(launches, { total: 0, byKernel: {} });
  assert.equal(buffers.bytes, 512 + SIZE, "what is there stays counted");
  assert.equal(buffers.peakBytes, 512 + SIZE);
  factor.destroy();
  values.destroy();
  assert.equal(counters.snapshot().buffers.bytes, 0);
});

test("a pipeline that is made later counts when it is there", async () => {
  counters.reset();
  const module = device.createShaderModule({ code: KERNEL });
  await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  assert.equal(counters.snapshot().pipelines.created, 1);
});

test("shaders in half precision are told apart", (t) => {
  if (!device.features.has("shader-f16")) {
    t.skip("the adapter has no shader-f16");
    return;
  }
  counters.reset();
  device.createShaderModule({ code: `enable f16;\n${KERNEL}` });
  const { withF16, withSubgroups } = counters.snapshot().shaders;
  assert.deepEqual({ withF16, withSubgroups }, { withF16: 1, withSubgroups: 0 });
});

test("errors are noted, whether the program looks for them or not", async () => {
  counters.reset();
  device.pushErrorScope("validation");
  device.createShaderModule({ code: "fn unfinished(" });
  assert.ok((await device.popErrorScope()) !== null, "the program gets its error");
  device.addEventListener("uncapturederror", (event) => event.preventDefault());
  buffer(Usage.MAP_READ | Usage.STORAGE);
  await device.queue.onSubmittedWorkDone();
  const { errors } = counters.snapshot();
  assert.equal(errors.length, 2);
  assert.match(errors.join("\n"), /^in an error scope: [^]*\nuncaptured: /);
});
