// Compiles programs for the graphics card ahead of their first launch, several at once, and without
// waiting for any of them.
//
// WebGPU has two ways to make a pipeline: one whose first use waits until the browser has compiled it, and
// one that says when that is done. The engine's GPU library knows the first alone. While the engine
// rehearses its launches, this module answers that library with a stand-in and compiles in the second way;
// the stand-in becomes the pipeline itself where it is launched. It has to be loaded before the program
// asks for its adapter.

/** A pipeline that may not be there yet. */
class AwaitedPipeline {
  #device;
  #descriptor;
  /** @type {GPUComputePipeline | undefined} */
  #pipeline;

  constructor(device, descriptor) {
    this.#device = device;
    this.#descriptor = descriptor;
  }

  /** Compiles; fulfilled or rejected when that has come to an end. */
  async compile() {
    const pipeline = await this.#device.createComputePipelineAsync(this.#descriptor);
    this.#pipeline ??= pipeline;
  }

  /** The pipeline, for which the browser waits where it has not been compiled yet. */
  now() {
    this.#pipeline ??= create.call(this.#device, this.#descriptor);
    return this.#pipeline;
  }

  getBindGroupLayout(index) {
    return this.now().getBindGroupLayout(index);
  }
}

/** `createComputePipeline` as it was before `prepareGpu`. */
let create;

/** What the program asks for and reads, by these names. */
class Programs {
  /** Whether programs are compiled ahead. */
  isAhead = false;
  /** Programs that were begun since the last `forget`. */
  begun = 0;
  /** Of those, programs that were compiled or could not be. */
  ended = 0;
  /** Why the first of them could not be compiled. @type {string | undefined} */
  failure;
  /** @type {(() => void)[]} */
  #waiting = [];
  /** Stands for the programs that count. */
  #counted = {};

  /** Stops counting what was begun. */
  forget() {
    this.begun = 0;
    this.ended = 0;
    this.failure = undefined;
    this.#counted = {};
  }

  /** Waits until one more program has ended, or none is left. */
  async next() {
    if (this.ended < this.begun) {
      await new Promise((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The program of a descriptor, compiled ahead. */
  begin(device, descriptor) {
    const counted = this.#counted;
    const awaited = new AwaitedPipeline(device, descriptor);
    this.begun += 1;
    const end = (failure) => {
      // What was forgotten meanwhile is not counted.
      if (counted === this.#counted) {
        this.ended += 1;
        this.failure ??= failure;
      }
      this.#waiting.splice(0).forEach((resolve) => resolve());
    };
    awaited.compile().then(
      () => end(undefined),
      ({ message }) => end(`${descriptor.label || "a program"}: ${message.split("\n", 1)[0]}`),
    );
    return awaited;
  }
}

/**
 * Compiles programs ahead from now on, whenever `isAhead` is set.
 *
 * @param {object} scope the global object that has WebGPU's classes
 * @returns {Programs}
 */
export function prepareGpu(scope = globalThis) {
  const programs = new Programs();
  const device = scope.GPUDevice.prototype;
  create = device.createComputePipeline;
  device.createComputePipeline = function (descriptor) {
    return programs.isAhead ? programs.begin(this, descriptor) : create.call(this, descriptor);
  };
  const pass = scope.GPUComputePassEncoder.prototype;
  const { setPipeline } = pass;
  pass.setPipeline = function (pipeline) {
    setPipeline.call(this, pipeline instanceof AwaitedPipeline ? pipeline.now() : pipeline);
  };
  return programs;
}
