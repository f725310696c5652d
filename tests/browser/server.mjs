// A static host on 127.0.0.1 that notes what is asked of it and can be told to fail.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const MIME_TYPES = {
  ".css": "text/css; charset=utf-8",
  ".gz": "application/gzip",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/**
 * What goes wrong with a path. Several fields may be set.
 *
 * @typedef {object} Fault
 * @property {number} [status] answered instead of the file, without a body
 * @property {Buffer} [replaceBody] served instead of the file, as if it were the file
 * @property {number} [flipByte] offset of a byte whose bits are all inverted
 * @property {number} [truncate] bytes after which the connection breaks, short of Content-Length
 * @property {number} [delayMilliseconds] time before the answer begins
 * @property {number} [delayFrom] offset from which on ranges are delayed; those before it are not
 */

/**
 * @typedef {object} LoggedRequest
 * @property {string} method
 * @property {string} path without query, decoded
 * @property {string | null} range the Range header
 */

/** The byte range of a Range header, or null where the whole is to be sent, or "unsatisfiable". */
export function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (match === null || (match[1] === "" && match[2] === "")) {
    return null;
  }
  const suffix = match[1] === "";
  const start = suffix ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = suffix || match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start > end ? "unsatisfiable" : { start, end };
}

export class StaticServer {
  /** Every request so far, in order of arrival. @type {LoggedRequest[]} */
  requests = [];

  #root;
  #server;
  #standing;
  /** @type {Map<string, Fault>} */
  #faults = new Map();

  constructor(root, standing) {
    this.#root = root;
    this.#standing = new Map(Object.entries(standing));
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => response.destroy(error));
    });
  }

  /**
   * Serves a folder on a port of the system's choice.
   *
   * @param {string} root
   * @param {Record<string, Fault>} [standing] faults that `clearFaults` leaves
   */
  static async start(root, standing = {}) {
    const server = new StaticServer(root, standing);
    await new Promise((resolve, reject) => {
      server.#server.once("error", reject);
      server.#server.listen(0, "127.0.0.1", resolve);
    });
    return server;
  }

  /** The address of the folder, with a slash at its end. */
  get url() {
    return `http://127.0.0.1:${this.#server.address().port}/`;
  }

  /** @param {string} path from the folder on, with a slash at its beginning @param {Fault} fault */
  fault(path, fault) {
    this.#faults.set(path, fault);
  }

  clearFaults() {
    this.#faults.clear();
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, this.url).pathname);
    this.requests.push({ method: request.method, path, range: request.headers.range ?? null });
    const fault = this.#faults.get(path) ?? this.#standing.get(path) ?? {};
    const [, start] = /^bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [null, Infinity];
    if (fault.delayMilliseconds !== undefined && Number(start) >= (fault.delayFrom ?? 0)) {
      // A test that has ended doesn't wait for it.
      await new Promise((resolve) => setTimeout(resolve, fault.delayMilliseconds).unref());
    }
    if (fault.status !== undefined) {
      response.writeHead(fault.status).end();
      return;
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.writeHead(405, { Allow: "GET, HEAD" }).end();
      return;
    }
    const body = fault.replaceBody ?? (await this.#read(path));
    if (body === null) {
      response.writeHead(404).end();
      return;
    }
    this.#send(request, response, path, fault, body);
  }

  /** A file's bytes, or null where there is none. */
  async #read(path) {
    const file = join(this.#root, normalize(path.endsWith("/") ? `${path}index.html` : path));
    if (!file.startsWith(this.#root)) {
      return null;
    }
    try {
      return await readFile(file);
    } catch (error) {
      if (error.code === "ENOENT" || error.code === "EISDIR") {
        return null;
      }
      throw error;
    }
  }

  #send(request, response, path, fault, body) {
    if (fault.flipByte !== undefined) {
      body = Buffer.from(body);
      body[fault.flipByte] ^= 0xff;
    }
    const extension = path.endsWith("/") ? ".html" : extname(path);
    const etag = `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"`;
    const headers = {
      "Content-Type": MIME_TYPES[extension] ?? "application/octet-stream",
      "Accept-Ranges": "bytes",
      // What the browser's HTTP cache answers never shows up in `requests`.
      "Cache-Control": "no-store",
      ETag: etag,
    };
    if (request.headers["if-none-match"] === etag) {
      response.writeHead(304, headers).end();
      return;
    }
    const stale = "if-range" in request.headers && request.headers["if-range"] !== etag;
    const range = stale ? null : parseRange(request.headers.range, body.length);
    if (range === "unsatisfiable") {
      response.writeHead(416, { ...headers, "Content-Range": `bytes */${body.length}` }).end();
      return;
    }
    const content = range === null ? body : body.subarray(range.start, range.end + 1);
    headers["Content-Length"] = content.length;
    if (range !== null) {
      headers["Content-Range"] = `bytes ${range.start}-${range.end}/${body.length}`;
    }
    response.writeHead(range === null ? 200 : 206, headers);
    if (request.method === "HEAD") {
      response.end();
    } else if (fault.truncate !== undefined) {
      response.write(content.subarray(0, fault.truncate), () => response.destroy());
    } else {
      response.end(content);
    }
  }
}
