// onnxruntime-web on one exported model, in a browser or in Node.js: checked against what torch computed
// for the model's inputs, and measured.

/** Of the largest output: two engines add up in different orders, and round values of f16 anew. */
const TOLERANCES = { float32: 1e-3, float16: 2e-2 };

/**
 * Values of a model's inputs or outputs, as the scripts that export models write them.
 *
 * @typedef {{type: "float32" | "float16", shape: number[], values: number[]}} DescribedTensor
 */

export class PeerSession {
  /** How far the first pass was from torch's values, of the largest of them. @type {number} */
  difference;

  #session;
  #feeds;
  #output;

  constructor(session, feeds, output) {
    this.#session = session;
    this.#feeds = feeds;
    this.#output = output;
  }

  /**
   * Loads a model and makes one pass, which compiles.
   *
   * @param {any} ort the package
   * @param {string | Uint8Array} model its address or its bytes
   * @param {{inputs: Record<string, DescribedTensor>, output: DescribedTensor & {name: string},
   *   tolerance?: number}} described with a tolerance where it isn't that of the type
   * @param {string} provider "webgpu" or "wasm"
   */
  static async open(ort, model, { inputs, output, tolerance }, provider) {
    const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { type, shape, values }]) => {
        const data = type === "float16" ? values.map(toHalf) : values;
        const elements = type === "float16" ? Uint16Array : Float32Array;
        return [name, new ort.Tensor(type, elements.from(data), shape)];
      }),
    );
    const peer = new PeerSession(session, feeds, output.name);
    const actual = await peer.#pass();
    const { values } = output;
    const largest = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    let difference = 0;
    values.forEach((value, index) => {
      const own = output.type === "float16" ? fromHalf(actual[index]) : actual[index];
      // A value that is no number counts as well.
      difference = Math.abs(value - own) <= difference ? difference : Math.abs(value - own);
    });
    peer.difference = difference / largest;
    if (!(peer.difference <= (tolerance ?? TOLERANCES[output.type]))) {
      throw new Error(`onnxruntime-web is ${peer.difference} away from torch`);
    }
    return peer;
  }

  /** Milliseconds of each of `count` passes, with the output read back, as a sampler needs it. */
  async measure(count) {
    const times = [];
    for (let i = 0; i < count; i += 1) {
      const start = performance.now();
      await this.#pass();
      times.push(performance.now() - start);
    }
    return times;
  }

  close() {
    return this.#session.release();
  }

  async #pass() {
    const { [this.#output]: output } = await this.#session.run(this.#feeds);
    return output.getData();
  }
}

/** The bits of the half-precision number next to a value; Node.js 20 has no Float16Array. */
function toHalf(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (!(size < 65_520)) {
    return sign | (Number.isNaN(size) ? 0x7e00 : 0x7c00);
  }
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  // Ten bits below the leading one. Rounding may carry into the exponent, as it should.
  const steps = roundHalfToEven(size / 2 ** (exponent - 10));
  return sign | (steps + (exponent + 14) * 1024);
}

function roundHalfToEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) {
    return fraction === 0 ? sign * Infinity : NaN;
  }
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
