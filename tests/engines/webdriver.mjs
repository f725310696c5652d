// A browser through its own WebDriver: Firefox answers the commands on a socket (Marionette, which
// geckodriver too speaks with it), WebKitGTK over HTTP. Their parameters and results are the same, those
// of the W3C's WebDriver.

import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** The key under which WebDriver names an element. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";
/** A command may take this long; those that wait for the page are short, and asked again. */
const COMMAND_TIMEOUT = 120_000;

/** The commands of the tests: Firefox's name, and WebKit's method and path. */
const COMMANDS = {
  navigate: ["WebDriver:Navigate", "POST", "/url"],
  setRectangle: ["WebDriver:SetWindowRect", "POST", "/window/rect"],
  setTimeouts: ["WebDriver:SetTimeouts", "POST", "/timeouts"],
  execute: ["WebDriver:ExecuteScript", "POST", "/execute/sync"],
  find: ["WebDriver:FindElement", "POST", "/element"],
  click: ["WebDriver:ElementClick", "POST", ({ id }) => `/element/${id}/click`],
  type: ["WebDriver:ElementSendKeys", "POST", ({ id }) => `/element/${id}/value`],
};

/** Waits until `check` gives something, and gives it; an error is one at the end of the time. */
export async function eventually(what, check, timeout) {
  const end = performance.now() + timeout;
  let last = null;
  while (performance.now() < end) {
    try {
      const found = await check();
      if (found !== null && found !== undefined && found !== false) {
        return found;
      }
      last = null;
    } catch (error) {
      last = error;
    }
    await delay(100);
  }
  throw new Error(`${what} within ${timeout / 1000} s`, { cause: last });
}

/** Firefox's socket: each packet is its length in bytes, a colon and JSON. */
class Marionette {
  #socket;
  #received = Buffer.alloc(0);
  #lastId = 0;
  /** @type {Map<number, {resolve: (value: unknown) => void, reject: (error: Error) => void}>} */
  #pending = new Map();

  static async connect(port) {
    const socket = connect(port, "127.0.0.1");
    await new Promise((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new Marionette(socket);
  }

  constructor(socket) {
    this.#socket = socket;
    socket.on("data", (bytes) => this.#receive(bytes));
    const end = (error) => {
      for (const { reject } of this.#pending.values()) {
        reject(error ?? new Error("Firefox has closed the connection."));
      }
      this.#pending.clear();
    };
    socket.on("error", end);
    socket.on("close", () => end());
  }

  async start() {
    await this.send(["WebDriver:NewSession"], {});
  }

  send([command], parameters) {
    this.#lastId += 1;
    const id = this.#lastId;
    const body = Buffer.from(JSON.stringify([0, id, command, parameters]));
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.write(Buffer.concat([Buffer.from(`${body.length}:`), body]));
    });
  }

  close() {
    this.#socket.destroy();
  }

  #receive(bytes) {
    this.#received = Buffer.concat([this.#received, bytes]);
    for (;;) {
      const colon = this.#received.indexOf(":");
      const end = colon + 1 + Number(this.#received.subarray(0, Math.max(0, colon)));
      if (colon < 0 || this.#received.length < end) {
        return;
      }
      const packet = JSON.parse(this.#received.subarray(colon + 1, end));
      this.#received = this.#received.subarray(end);
      // The first packet is a greeting.
      if (Array.isArray(packet)) {
        const [, id, error, result] = packet;
        const { resolve, reject } = this.#pending.get(id);
        this.#pending.delete(id);
        if (error === null) {
          resolve(result?.value === undefined ? result : result.value);
        } else {
          reject(new Error(`${error.error}: ${error.message}`));
        }
      }
    }
  }
}

/** WebKit's driver: a program of its own, which starts the browser with the session. */
class Http {
  #address;
  #session = null;
  #capabilities;

  constructor(port, capabilities) {
    this.#address = `http://127.0.0.1:${port}/session`;
    this.#capabilities = capabilities;
  }

  async start() {
    const { sessionId } = await this.#request("POST", this.#address, {
      capabilities: { alwaysMatch: this.#capabilities },
    });
    this.#session = `${this.#address}/${sessionId}`;
  }

  send([, method, path], parameters) {
    const end = typeof path === "function" ? path(parameters) : path;
    return this.#request(method, this.#session + end, parameters);
  }

  async close() {
    if (this.#session !== null) {
      await this.#request("DELETE", this.#session);
    }
  }

  async #request(method, address, parameters) {
    const response = await fetch(address, {
      method,
      body: method === "POST" ? JSON.stringify(parameters) : undefined,
      signal: AbortSignal.timeout(COMMAND_TIMEOUT),
    });
    const { value } = await response.json();
    if (!response.ok) {
      throw new Error(`${value.error}: ${value.message}`);
    }
    return value;
  }
}

/** A browser window that is driven. */
export class Session {
  #transport;

  constructor(transport) {
    this.#transport = transport;
  }

  /** The session of a Firefox that listens on this port. */
  static async ofFirefox(port) {
    return Session.#start(await Marionette.connect(port));
  }

  /** The session of a WebKitWebDriver that listens on this port. */
  static ofWebKit(port, capabilities) {
    return Session.#start(new Http(port, capabilities));
  }

  static async #start(transport) {
    await transport.start();
    const session = new Session(transport);
    await session.#send("setTimeouts", { script: COMMAND_TIMEOUT, pageLoad: COMMAND_TIMEOUT });
    return session;
  }

  async open(address) {
    await this.#send("navigate", { url: address });
  }

  /** Reloads the page as a visitor does. Firefox's own command is a reload past every cache and service worker. */
  async reload() {
    await this.run(() => {
      window.isBeforeReload = true;
      location.reload();
    });
    await eventually(
      "the page reloads",
      () => this.run(() => window.isBeforeReload === undefined),
      COMMAND_TIMEOUT,
    );
  }

  async resize(width, height) {
    await this.#send("setRectangle", { width, height });
  }

  /** What a function gives in the page, called with values that JSON has. */
  run(page, ...values) {
    return this.#send("execute", {
      script: `return (${page})(...arguments)`,
      args: values,
      // Firefox would else run it in a room of its own, without the page's globals.
      sandbox: null,
    });
  }

  /** Presses an element as a visitor does: it has to be in sight and not covered. */
  async click(selector) {
    await this.#send("click", { id: await this.#find(selector) });
  }

  /** Types into a field, or chooses a file in one for files. */
  async type(selector, text) {
    await this.#send("type", { id: await this.#find(selector), text });
  }

  async close() {
    await this.#transport.close();
  }

  async #find(selector) {
    const element = await this.#send("find", { using: "css selector", value: selector });
    return element[ELEMENT];
  }

  #send(command, parameters) {
    return this.#transport.send(COMMANDS[command], parameters);
  }
}
