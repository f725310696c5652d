// Memory of a browser while it works: resident memory of its processes by kind, and the wasm heaps
// of a page's workers.

import { readFile, readdir } from "node:fs/promises";

/** Time between two looks at the processes. */
const PERIOD = 250;
/** Looks at the processes between two at the workers' wasm memories, which cost a collection. */
const HEAP_PERIOD = 20;

/** Parent, kind and resident bytes of every process; empty where the system has no /proc. */
async function processes() {
  const names = await readdir("/proc").catch(() => []);
  const read = async (id) => {
    try {
      const [status, command] = await Promise.all([
        readFile(`/proc/${id}/status`, "utf8"),
        readFile(`/proc/${id}/cmdline`, "utf8"),
      ]);
      const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
      return { id: Number(id), parent: field("PPid"), resident: field("VmRSS") * 1024, command };
    } catch {
      // It has ended.
      return null;
    }
  };
  const found = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map(read));
  return found.filter((process) => process !== null);
}

/** What a process of Chromium does, by its command line. */
function kindOf(command) {
  const option = (name) => new RegExp(`--${name}=([^\\0 ]+)`).exec(command)?.[1];
  const service = option("utility-sub-type")?.split(".")[0];
  return service ?? option("type") ?? "browser";
}

/** Watches a browser's processes and a page's workers until it is told to stop. */
export class MemoryWatch {
  /** The largest resident memory of a kind of process so far, in bytes, by kind. */
  resident = {};
  /** The largest sum of a worker's wasm memories so far, in bytes, by the worker's address. */
  heaps = {};

  #profile;
  #session;
  #workers = new Map();
  #answers = new Map();
  #lastId = 0;
  #running = true;
  #done;

  constructor(profile, session) {
    this.#profile = profile;
    this.#session = session;
  }

  /**
   * @param {import("playwright-core").Page} page
   * @param {string} profile the browser's user data directory, by which its processes are found
   */
  static async start(page, profile) {
    const session = await page.context().newCDPSession(page);
    const watch = new MemoryWatch(profile, session);
    session.on("Target.attachedToTarget", ({ sessionId, targetInfo }) => {
      watch.#workers.set(sessionId, targetInfo.url);
    });
    session.on("Target.detachedFromTarget", ({ sessionId }) => watch.#workers.delete(sessionId));
    session.on("Target.receivedMessageFromTarget", ({ message }) => {
      const { id, result } = JSON.parse(message);
      watch.#answers.get(id)?.(result);
      watch.#answers.delete(id);
    });
    // Messages pass through this session: Playwright gives out no sessions of workers.
    await session.send("Target.setAutoAttach", {
      autoAttach: true,
      waitForDebuggerOnStart: false,
      flatten: false,
    });
    watch.#done = watch.#run();
    return watch;
  }

  /** Takes a last look and ends. */
  async stop() {
    this.#running = false;
    await this.#done;
    await this.#lookAtHeaps();
    await this.#session.detach().catch(() => {});
  }

  async #run() {
    for (let round = 0; this.#running; round += 1) {
      await this.#lookAtProcesses();
      if (round % HEAP_PERIOD === 0) {
        await this.#lookAtHeaps();
      }
      await new Promise((resolve) => setTimeout(resolve, PERIOD));
    }
  }

  async #lookAtProcesses() {
    const all = await processes();
    const family = new Set(
      all.filter(({ command }) => command.includes(this.#profile)).map(({ id }) => id),
    );
    for (let grown = true; grown;) {
      const children = all.filter(({ id, parent }) => family.has(parent) && !family.has(id));
      children.forEach(({ id }) => family.add(id));
      grown = children.length > 0;
    }
    const sums = {};
    for (const { command, resident } of all.filter(({ id }) => family.has(id))) {
      const kind = kindOf(command);
      sums[kind] = (sums[kind] ?? 0) + resident;
    }
    raise(this.resident, sums);
  }

  async #lookAtHeaps() {
    const sizes = {};
    for (const [sessionId, url] of this.#workers) {
      const bytes = await this.#wasmBytes(sessionId);
      sizes[url] = Math.max(sizes[url] ?? 0, bytes);
    }
    raise(this.heaps, sizes);
  }

  /** Bytes of all wasm memories of a worker; they never shrink. */
  async #wasmBytes(sessionId) {
    const prototype = await this.#ask(sessionId, "Runtime.evaluate", {
      expression: "WebAssembly.Memory.prototype",
    });
    const memories = await this.#ask(sessionId, "Runtime.queryObjects", {
      prototypeObjectId: prototype?.result?.objectId,
    });
    const sum = await this.#ask(sessionId, "Runtime.callFunctionOn", {
      objectId: memories?.objects?.objectId,
      functionDeclaration: `function () {
        return this.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
      }`,
      returnByValue: true,
    });
    return sum?.result?.value ?? 0;
  }

  /** A command's result; undefined where the worker has ended or refuses. */
  async #ask(sessionId, method, parameters) {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise((resolve) => {
      this.#answers.set(id, resolve);
      // A worker that is busy or gone doesn't answer.
      setTimeout(resolve, 5_000).unref();
    });
    const message = JSON.stringify({ id, method, params: parameters });
    try {
      await this.#session.send("Target.sendMessageToTarget", { sessionId, message });
    } catch {
      return undefined;
    }
    return answer;
  }
}

/** Keeps the larger of each. */
function raise(peaks, values) {
  for (const [name, value] of Object.entries(values)) {
    peaks[name] = Math.max(peaks[name] ?? 0, value);
  }
}
