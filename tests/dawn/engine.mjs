// The engine in Node.js on Dawn, as the page uses it: requests, and events with what each took of the
// GPU.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { EventEmitter } from "node:events";
import { fileURLToPath } from "node:url";

import { DIST, PAIR_PATH } from "../browser/page.mjs";
import { StaticServer } from "../browser/server.mjs";

const PROCESS = fileURLToPath(new URL("engine_process.mjs", import.meta.url));

/** The fields of a recipe by the names that links have for them, where they are others. */
const FIELDS = {
  guidance: "base_guidance",
  "base-guidance": "hybrid_base_guidance",
};
const TEXTS = ["prompt", "negative-prompt"];

/**
 * What an event tells and what it took of the GPU since the event before.
 *
 * @typedef {object} EngineEvent
 * @property {string} name such as "Step"
 * @property {any} value the event's fields
 * @property {import("../../www/gpu_counters.mjs").GpuCounts} counts
 */

/** A pair's recipe with parameters of a link, whose values may be texts. */
export function recipeWith(recipe, parameters) {
  const changed = structuredClone(recipe);
  for (const [name, value] of Object.entries(parameters)) {
    const field = FIELDS[name] ?? name.replaceAll("-", "_");
    assert.ok(field in recipe, `a recipe has no ${field}`);
    const isNumber = typeof value === "string" && !TEXTS.includes(name);
    changed[field] = isNumber ? Number(value) : value;
    assert.ok(!Number.isNaN(changed[field]), `${name} is not a number: ${value}`);
  }
  return changed;
}

export class Engine {
  /** The device as the engine describes it. @type {{kind: string, description: string}} */
  device;
  /** The facts about the pair. @type {any} */
  pair;

  #process;
  #server;
  #messages = new EventEmitter();
  /** Complaints of the worker and of the GPU. @type {string[]} */
  #problems = [];
  /** What Dawn and Mesa say, for the message of a process that ends. */
  #output = "";
  /** Why the worker takes no more requests. @type {Error | undefined} */
  #ended;
  #jobs = 0;
  #tasks = 0;

  constructor(server, child) {
    this.#server = server;
    this.#process = child;
    child.stderr.on("data", (bytes) => (this.#output += bytes));
    child.stdout.on("data", (bytes) => (this.#output += bytes));
    child.on("message", (message) => this.#take(message));
    child.on("exit", (code, signal) =>
      this.#end(`The engine's process ended (${signal ?? code}).\n${this.#output}`),
    );
  }

  /**
   * Starts the built page's worker with a pair of the build.
   *
   * @param {object} options
   * @param {string} [options.device] "web-gpu" or "cpu"
   * @param {string} [options.pair] address of the pair's manifest, relative to the page
   * @param {string[]} [options.withoutFeatures] features that the adapter is to lack
   * @param {Record<string, number>} [options.limits] limits that the adapter is to have at most
   * @param {string} [options.description] what the adapter says of itself
   * @param {{key: string, value: any}[]} [options.choices] what an earlier worker has stored of adapters
   * @param {string} [options.brokenShader] the first shader with this text is one that doesn't compile
   * @param {boolean} [options.breaksAllShaders] all shaders with that text are
   * @param {{batch: number, largest_map: number}} [options.atMost] the most that it may use of the device, as
   *   after a failure
   * @param {string} [options.network] address of the manifest of a network that measures pictures, relative
   *   to the page: it is loaded into the store before
   * @param {string} [options.companion] address of a module that runs beside the worker, in its process
   *   and on its WebGPU; `ask` calls its `answer`
   */
  static async start({
    device = "web-gpu",
    pair = `${PAIR_PATH.slice(1)}manifest.json`,
    withoutFeatures = [],
    limits = {},
    description,
    choices,
    brokenShader,
    breaksAllShaders = false,
    atMost,
    network,
    companion,
  } = {}) {
    const server = await StaticServer.start(DIST);
    const surroundings = {
      withoutFeatures,
      limits,
      description,
      choices,
      brokenShader,
      breaksAllShaders,
      network: network && { pageUrl: server.url, address: network },
      companion,
    };
    const child = fork(PROCESS, [DIST, JSON.stringify(surroundings)], {
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    const engine = new Engine(server, child);
    try {
      await engine.#until((name) => name === "Ready");
      const missing = engine.#until((name) => name === "Missing");
      engine.#send({
        Start: {
          device,
          manifest_url: new URL(pair, server.url).href,
          pair_address: pair,
          // The process around the worker counts.
          measures: false,
          at_most: atMost,
        },
      });
      await missing;
      // The worker reads the bundled pair from its host itself: no loader is needed.
      engine.#send("HoldWeights");
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  /**
   * Starts the worker as one that has measured that these forms of the kernels are the faster ones.
   *
   * @param {object} options of `start`, of an adapter that has to be measured
   * @param {Record<string, "Shared" | "Registers">} forms
   */
  static async startWithForms(options, forms) {
    return Engine.start({ ...options, choices: await Engine.choicesOfForms(options, forms) });
  }

  /** What a worker has stored that has measured that these forms of the kernels are the faster ones. */
  static async choicesOfForms(options, forms) {
    const engine = await Engine.start(options);
    const [{ key, value }] = await engine.choices().finally(() => engine.close());
    Object.assign(value.choice.forms, forms);
    // The number of submits depends on it: the same on every machine, and that of an adapter on the CPU.
    value.choice.speed = 5e9;
    return [{ key, value }];
  }

  /**
   * Draws a grid and gives the job's events in their order; one that doesn't get done is an error.
   *
   * @param {Record<string, string | number | string[]>} parameters of the recipe, as links name them;
   *   the others are the pair's own
   * @param {(event: EngineEvent) => unknown} [listen] called with each event as it comes
   * @returns {Promise<EngineEvent[]>}
   */
  async draw(parameters, listen = () => {}) {
    this.#jobs += 1;
    const job = this.#jobs;
    const recipe = recipeWith(this.pair.recipe, parameters);
    const events = [];
    const ended = this.#until((name, value, counts) => {
      if (name !== "Job" || value.job !== job) {
        return false;
      }
      const event = { ...variant(value.event), counts };
      events.push(event);
      listen(event);
      return ["Done", "Cancelled", "Failed", "LacksWeights"].includes(event.name);
    });
    this.#send({ Generate: { job, recipe, extent: { resumes: false, is_of_experiment: false }, snapshots: [] } });
    await ended;
    const { name, value } = events.at(-1);
    assert.equal(name, "Done", `the job ended with ${name}: ${value?.message}`);
    return events;
  }

  /**
   * Has the engine do a task and gives its events in their order; one that fails is an error.
   *
   * @returns {Promise<EngineEvent[]>}
   */
  async task(task) {
    this.#tasks += 1;
    const id = this.#tasks;
    const events = [];
    const ended = this.#until((name, value, counts) => {
      if (name !== "Task" || value.id !== id) {
        return false;
      }
      events.push({ ...variant(value.event), counts });
      return ["Done", "Failed"].includes(events.at(-1).name);
    });
    this.#send({ Task: { id, task } });
    await ended;
    const { name, value } = events.at(-1);
    assert.equal(name, "Done", `the task ended with ${name}: ${value?.message}`);
    return events;
  }

  /** The absolute address of a file of the build. */
  address(path) {
    return new URL(path, this.#server.url).href;
  }

  /** What the worker has stored of adapters. @returns {Promise<{key: string, value: any}[]>} */
  async choices() {
    let choices;
    const answered = this.#until((name, value) => name === "choices" && ((choices = value), true));
    this.#process.send({ readsChoices: true });
    await answered;
    return choices;
  }

  /** What the companion answers to a question, once the worker has nothing to do. */
  ask(question) {
    return new Promise((resolve, reject) => {
      const stop = (settle, value) => {
        this.#messages.off("answer", take).off("end", fail);
        settle(value);
      };
      const fail = (error) => stop(reject, error);
      const take = ({ answer, refusal }) =>
        refusal === undefined ? stop(resolve, answer) : fail(new Error(refusal));
      this.#messages.on("answer", take).on("end", fail);
      this.#process.send({ question });
    });
  }

  /** Destroys the worker's device: to the worker it is lost, as when a driver starts anew. */
  loseDevice() {
    this.#process.send({ losesDevice: true });
  }

  /**
   * Fails on whatever the GPU or the worker complained of.
   *
   * @param {RegExp} [expected] but for complaints of this kind
   */
  assertNoProblems(expected) {
    const problems = this.#problems.filter((problem) => !expected?.test(problem));
    assert.deepEqual(problems, [], "the GPU and the worker have to be free of errors");
  }

  async close() {
    this.#process.removeAllListeners("exit");
    if (this.#process.exitCode === null) {
      const exited = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill("SIGKILL");
      await exited;
    }
    await this.#server.close();
  }

  #send(request) {
    this.#process.send({ request });
  }

  #take({ message, counts, problem, choices, ...reply }) {
    if (choices !== undefined) {
      this.#messages.emit("message", "choices", choices);
      return;
    }
    if ("answer" in reply || "refusal" in reply) {
      this.#messages.emit("answer", reply);
      return;
    }
    if (problem !== undefined) {
      this.#note(problem);
      return;
    }
    counts.errors.forEach((error) => this.#note(error));
    let { name, value } = variant(message);
    if (name === "Panicked" || name === "Stopped") {
      this.#end(`The worker ${name.toLowerCase()}: ${value.message}`);
      return;
    }
    if (name === "Event") {
      ({ name, value } = variant(value));
    }
    if (name === "Device") {
      this.device = value;
    } else if (name === "Pair") {
      this.pair = value;
    }
    this.#messages.emit("message", name, value, counts);
  }

  #note(problem) {
    if (!this.#problems.includes(problem)) {
      this.#problems.push(problem);
    }
  }

  #end(reason) {
    const problems = this.#problems.map((problem) => `\n${problem}`).join("");
    this.#ended ??= new Error(reason + problems);
    this.#messages.emit("end", this.#ended);
  }

  /** Waits for a message of which `isLast` says so. */
  #until(isLast) {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      const stop = (settle, value) => {
        this.#messages.off("message", take).off("end", fail);
        settle(value);
      };
      const fail = (error) => stop(reject, error);
      const take = (...message) => {
        try {
          if (isLast(...message)) {
            stop(resolve);
          }
        } catch (error) {
          fail(error);
        }
      };
      this.#messages.on("message", take).on("end", fail);
    });
  }
}

/** The name and the fields of a variant: a text, or an object with one property. */
function variant(value) {
  return typeof value === "string"
    ? { name: value, value: undefined }
    : { name: Object.keys(value)[0], value: Object.values(value)[0] };
}
