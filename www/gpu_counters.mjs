// Counts what a program asks of WebGPU: numbers that don't depend on how fast the machine is. It wraps
// the prototypes of WebGPU's classes, so it has to be loaded before the program asks for its adapter:
//
//     import { countGpu } from "./gpu_counters.mjs";
//     const counters = countGpu();
//     …
//     console.log(JSON.stringify(counters.snapshot()));

/** Errors that are kept: one that repeats with every launch says nothing new. */
const MAXIMUM_ERRORS = 16;

/**
 * What was asked of WebGPU since the last `reset`, and what is there now. All sizes are bytes.
 *
 * @typedef {object} GpuCounts
 * @property {{total: number, byKernel: Record<string, number>}} launches dispatches, by the pipeline's
 *   label, or its entry point where it has none
 * @property {number} submits
 * @property {{created: number, launched: number}} pipelines compute pipelines that were made, and
 *   different ones that were launched
 * @property {{created: number, bytes: number, largestBytes: number, withF16: number,
 *   withSubgroups: number}} shaders WGSL texts
 * @property {{created: number, destroyed: number, collected: number, count: number, bytes: number,
 *   peakBytes: number, largestBytes: number}} buffers `bytes` of the `count` that are there now; one
 *   that the program drops without `destroy` is there until it is `collected`, which is when its
 *   memory is free
 * @property {{bytes: number, largestBytes: number}} bindings the sizes of all buffers bound by the
 *   launches, and the largest one
 * @property {{calls: number, bytes: number}} writes `writeBuffer`
 * @property {{calls: number, bytes: number}} copies `copyBufferToBuffer`
 * @property {number} readbacks buffers that were mapped to be read
 * @property {string[]} errors uncaptured errors, the loss of a device, and what a program found in its
 *   error scopes
 */

/** Counts that begin anew with `reset`. */
class Counts {
  launches = 0;
  /** @type {Map<string, number>} */
  byKernel = new Map();
  /** @type {Set<GPUComputePipeline>} */
  launched = new Set();
  submits = 0;
  pipelines = 0;
  shaders = { created: 0, bytes: 0, largestBytes: 0, withF16: 0, withSubgroups: 0 };
  buffers = { created: 0, destroyed: 0, collected: 0, largestBytes: 0 };
  bindings = { bytes: 0, largestBytes: 0 };
  writes = { calls: 0, bytes: 0 };
  copies = { calls: 0, bytes: 0 };
  readbacks = 0;
  /** @type {string[]} */
  errors = [];
}

class GpuCounters {
  #counts = new Counts();
  /** Buffers that are there now. */
  #resident = { count: 0, bytes: 0, peakBytes: 0 };
  /** Sizes of the buffers that were not destroyed. @type {WeakMap<GPUBuffer, {bytes: number}>} */
  #sizes = new WeakMap();
  #collected = new FinalizationRegistry((size) => this.#release(size, "collected"));
  /** @type {WeakMap<GPUBindGroup, {bytes: number, largestBytes: number}>} */
  #bindGroups = new WeakMap();
  /** @type {WeakMap<GPUComputePipeline, string>} */
  #kernels = new WeakMap();
  /** @type {WeakMap<GPUComputePassEncoder, {pipeline?: GPUComputePipeline, groups: GPUBindGroup[]}>} */
  #passes = new WeakMap();
  #encoder = new TextEncoder();

  /** Counts anew from here on; buffers that are there stay counted. */
  reset() {
    this.#counts = new Counts();
    this.#resident.peakBytes = this.#resident.bytes;
  }

  /** @returns {GpuCounts} */
  snapshot() {
    const counts = this.#counts;
    const byKernel = [...counts.byKernel].sort(([, a], [, b]) => b - a);
    return {
      launches: { total: counts.launches, byKernel: Object.fromEntries(byKernel) },
      submits: counts.submits,
      pipelines: { created: counts.pipelines, launched: counts.launched.size },
      shaders: { ...counts.shaders },
      buffers: { ...counts.buffers, ...this.#resident },
      bindings: { ...counts.bindings },
      writes: { ...counts.writes },
      copies: { ...counts.copies },
      readbacks: counts.readbacks,
      errors: [...counts.errors],
    };
  }

  deviceMade(device) {
    device.addEventListener("uncapturederror", ({ error }) => this.#failed("uncaptured", error));
    device.lost.then((loss) => {
      // One that the program destroys is not lost.
      if (loss.reason !== "destroyed") {
        this.#failed("device lost", loss);
      }
    });
  }

  scopePopped(error) {
    if (error !== null) {
      this.#failed("in an error scope", error);
    }
  }

  bufferMade(buffer, { size: bytes }) {
    const size = { bytes };
    this.#sizes.set(buffer, size);
    this.#collected.register(buffer, size, size);
    const { buffers } = this.#counts;
    buffers.created += 1;
    buffers.largestBytes = Math.max(buffers.largestBytes, bytes);
    const resident = this.#resident;
    resident.count += 1;
    resident.bytes += bytes;
    resident.peakBytes = Math.max(resident.peakBytes, resident.bytes);
  }

  bufferDestroyed(buffer) {
    const size = this.#sizes.get(buffer);
    if (size !== undefined) {
      this.#sizes.delete(buffer);
      this.#collected.unregister(size);
      this.#release(size, "destroyed");
    }
  }

  shaderMade({ code }) {
    const { shaders } = this.#counts;
    const bytes = this.#encoder.encode(code).length;
    shaders.created += 1;
    shaders.bytes += bytes;
    shaders.largestBytes = Math.max(shaders.largestBytes, bytes);
    shaders.withF16 += Number(/\benable\s[^;]*\bf16\b/.test(code));
    shaders.withSubgroups += Number(/\benable\s[^;]*\bsubgroups\b/.test(code));
  }

  pipelineMade(pipeline, { label, compute }) {
    this.#counts.pipelines += 1;
    this.#kernels.set(pipeline, label || compute.entryPoint || "without a name");
  }

  bindGroupMade(group, { entries }) {
    const sizes = Array.from(entries, ({ resource }) => this.#boundBytes(resource));
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    this.#bindGroups.set(group, { bytes, largestBytes: Math.max(0, ...sizes) });
  }

  passBegun(pass) {
    this.#passes.set(pass, { groups: [] });
  }

  pipelineSet(pass, pipeline) {
    const state = this.#passes.get(pass);
    if (state !== undefined) {
      state.pipeline = pipeline;
    }
  }

  bindGroupSet(pass, index, group) {
    const state = this.#passes.get(pass);
    if (state !== undefined) {
      state.groups[index] = group;
    }
  }

  launched(pass) {
    const counts = this.#counts;
    counts.launches += 1;
    const { pipeline, groups } = this.#passes.get(pass) ?? { groups: [] };
    if (pipeline !== undefined) {
      const kernel = this.#kernels.get(pipeline) ?? "made before the counters";
      counts.launched.add(pipeline);
      counts.byKernel.set(kernel, (counts.byKernel.get(kernel) ?? 0) + 1);
    }
    for (const group of groups) {
      // A place that was skipped, or set to null, has none.
      const bound = this.#bindGroups.get(group);
      if (bound !== undefined) {
        counts.bindings.bytes += bound.bytes;
        counts.bindings.largestBytes = Math.max(counts.bindings.largestBytes, bound.largestBytes);
      }
    }
  }

  submitted() {
    this.#counts.submits += 1;
  }

  written(data, offset, size) {
    // For typed arrays both are counted in elements, for buffers and views in bytes.
    const element = data.BYTES_PER_ELEMENT ?? 1;
    this.#counts.writes.calls += 1;
    this.#counts.writes.bytes +=
      size === undefined ? data.byteLength - (offset ?? 0) * element : size * element;
  }

  copied(...args) {
    const [source, second, , , size] = args;
    // The short form is (source, destination, size), the long one has an offset behind each buffer.
    const bytes = typeof second === "object" ? args[2] : size;
    this.#counts.copies.calls += 1;
    this.#counts.copies.bytes += bytes ?? source.size;
  }

  mapped(mode) {
    const { READ } = globalThis.GPUMapMode;
    this.#counts.readbacks += Number((mode & READ) !== 0);
  }

  #boundBytes(resource) {
    // A buffer by itself is bound whole; textures and samplers are no buffers.
    const {
      buffer,
      offset = 0,
      size,
    } = this.#sizes.has(resource) ? { buffer: resource } : resource;
    return buffer === undefined ? 0 : (size ?? buffer.size - offset);
  }

  #release({ bytes }, end) {
    this.#counts.buffers[end] += 1;
    this.#resident.count -= 1;
    this.#resident.bytes -= bytes;
  }

  #failed(where, { message }) {
    const { errors } = this.#counts;
    if (errors.length < MAXIMUM_ERRORS) {
      errors.push(`${where}: ${message}`);
    }
  }
}

/** Calls `after` with the object, the result and the arguments of each call of a method. */
function listen(prototype, name, after) {
  const method = prototype[name];
  prototype[name] = function (...args) {
    const result = method.apply(this, args);
    after(this, result, args);
    return result;
  };
}

/** The same for a method that returns a promise, once it is fulfilled. */
function listenLater(prototype, name, after) {
  const method = prototype[name];
  prototype[name] = async function (...args) {
    const result = await method.apply(this, args);
    after(this, result, args);
    return result;
  };
}

/**
 * Counts from now on what is asked of WebGPU in this worker or page.
 *
 * @param {object} scope the global object that has WebGPU's classes
 * @returns {GpuCounters}
 */
export function countGpu(scope = globalThis) {
  const counters = new GpuCounters();
  const { GPUAdapter, GPUDevice, GPUQueue, GPUBuffer, GPUCommandEncoder, GPUComputePassEncoder } =
    scope;
  listenLater(GPUAdapter.prototype, "requestDevice", (_, device) => counters.deviceMade(device));

  const device = GPUDevice.prototype;
  listen(device, "createBuffer", (_, buffer, [descriptor]) =>
    counters.bufferMade(buffer, descriptor),
  );
  listen(device, "createShaderModule", (_, module, [descriptor]) =>
    counters.shaderMade(descriptor),
  );
  listen(device, "createComputePipeline", (_, pipeline, [descriptor]) =>
    counters.pipelineMade(pipeline, descriptor),
  );
  listenLater(device, "createComputePipelineAsync", (_, pipeline, [descriptor]) =>
    counters.pipelineMade(pipeline, descriptor),
  );
  listen(device, "createBindGroup", (_, group, [descriptor]) =>
    counters.bindGroupMade(group, descriptor),
  );
  listenLater(device, "popErrorScope", (_, error) => counters.scopePopped(error));

  listen(GPUQueue.prototype, "submit", () => counters.submitted());
  listen(GPUQueue.prototype, "writeBuffer", (_, __, [, , data, offset, size]) =>
    counters.written(data, offset, size),
  );
  listen(GPUBuffer.prototype, "destroy", (buffer) => counters.bufferDestroyed(buffer));
  listen(GPUBuffer.prototype, "mapAsync", (_, __, [mode]) => counters.mapped(mode));

  const encoder = GPUCommandEncoder.prototype;
  listen(encoder, "beginComputePass", (_, pass) => counters.passBegun(pass));
  listen(encoder, "copyBufferToBuffer", (_, __, args) => counters.copied(...args));

  const pass = GPUComputePassEncoder.prototype;
  listen(pass, "setPipeline", (self, _, [pipeline]) => counters.pipelineSet(self, pipeline));
  listen(pass, "setBindGroup", (self, _, [index, group]) =>
    counters.bindGroupSet(self, index, group),
  );
  for (const dispatch of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"]) {
    listen(pass, dispatch, (self) => counters.launched(self));
  }
  return counters;
}
