// Headless Chromium, with an ear for everything that goes wrong inside of it.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "playwright-core";

const QUIET_FLAGS = [
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

// Chromium hands out an adapter on a machine without a GPU only when both are given; without
// them navigator.gpu exists, and requestAdapter answers null.
const SOFTWARE_ADAPTER_FLAGS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

// What Chromium says about itself, whatever the page does.
const HARMLESS_MESSAGES = [
  /^No available adapters\.$/,
  /^WebGPU is experimental on this platform/,
  /^The resource .* was preloaded using link preload but not used within a few seconds/,
];

function launchOptions(webgpu) {
  return {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    // The sandbox needs what containers and the root user don't have.
    chromiumSandbox: false,
    args: [...QUIET_FLAGS, ...(webgpu === "software" ? SOFTWARE_ADAPTER_FLAGS : [])],
  };
}

/** The programs behind shared browsers, by what WebGPU they have. @type {Map<string, Promise>} */
const programs = new Map();

/** Ends the programs of all shared browsers. */
export async function closePrograms() {
  const started = [...programs.values()];
  programs.clear();
  await Promise.all(started.map(async (program) => (await program).close()));
}

export class Browser {
  /** Messages of pages and their workers that no test expected. @type {string[]} */
  #problems = [];
  /** @type {RegExp[]} */
  #expected = [];
  #context;
  #temporaryDirectory;

  constructor(context, temporaryDirectory = null) {
    this.#context = context;
    this.#temporaryDirectory = temporaryDirectory;
  }

  /**
   * A browser with a profile on disk.
   *
   * @param {object} options
   * @param {"software" | "off"} [options.webgpu] the software adapter, or no adapter at all
   * @param {string} [options.userDataDirectory] keeps the browser's stores from one launch to the
   *   next; without it every launch starts empty
   */
  static async launch({ webgpu = "software", userDataDirectory } = {}) {
    const temporaryDirectory =
      userDataDirectory === undefined ? await mkdtemp(join(tmpdir(), "firststep-")) : null;
    const context = await chromium.launchPersistentContext(
      userDataDirectory ?? temporaryDirectory,
      launchOptions(webgpu),
    );
    return new Browser(context, temporaryDirectory);
  }

  /**
   * A browser whose stores are empty, in memory, in a program that is started at most once:
   * `closePrograms` ends it.
   *
   * @param {object} options
   * @param {"software" | "off"} [options.webgpu]
   */
  static async shared({ webgpu = "software" } = {}) {
    let program = programs.get(webgpu);
    if (program === undefined) {
      program = chromium.launch(launchOptions(webgpu));
      programs.set(webgpu, program);
    }
    return new Browser(await (await program).newContext());
  }

  /** A page whose messages are watched from the first one on. */
  async newPage() {
    const page = await this.#context.newPage();
    page.on("console", (message) => this.#hear(message.type(), message.text()));
    page.on("pageerror", (error) => this.#hear("error", error.message));
    page.on("crash", () => this.#hear("error", "The page crashed."));
    // WebGPU's complaints from inside a worker are warnings, and reach this log alone.
    const session = await this.#context.newCDPSession(page);
    session.on("Log.entryAdded", ({ entry }) => {
      const address = entry.source === "network" ? ` (${entry.url})` : "";
      this.#hear(entry.level, entry.text + address);
    });
    await session.send("Log.enable");
    return page;
  }

  /** Closes all pages, and forgets what they said and what was expected of them. */
  async closePages() {
    await Promise.all(this.#context.pages().map((page) => page.close()));
    this.#problems = [];
    this.#expected = [];
  }

  /** Lets messages that match pass. */
  expectProblem(pattern) {
    this.#expected.push(pattern);
  }

  /** Fails on any error or warning of a page or a worker that no test expected. */
  assertNoProblems() {
    const problems = this.#problems.filter(
      (text) => !this.#expected.some((pattern) => pattern.test(text)),
    );
    assert.deepEqual(problems, [], "the browser's console has to stay free of errors and warnings");
  }

  async close() {
    await this.#context.close();
    if (this.#temporaryDirectory !== null) {
      await rm(this.#temporaryDirectory, { recursive: true, force: true });
    }
  }

  #hear(level, text) {
    const serious = level === "error" || level === "warning" || level === "assert";
    if (!serious || HARMLESS_MESSAGES.some((pattern) => pattern.test(text))) {
      return;
    }
    if (!this.#problems.includes(text)) {
      this.#problems.push(text);
    }
  }
}

/** Whether the page gets a WebGPU adapter. A WebGPU test that has none tests nothing. */
export async function hasAdapter(page) {
  return page.evaluate(async () => ((await navigator.gpu?.requestAdapter()) ?? null) !== null);
}
