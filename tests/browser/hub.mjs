// A model hub with its CDN on 127.0.0.1: what a browser meets when it loads weights from a hub,
// with the faults of real networks on demand. Bodies are streamed from disk, so files may be of any
// size.
//
// The folder that it serves holds repositories as <owner>/<name>/<path>, and below static/ what a
// plain static host would have. A file is named by its path in that folder everywhere here:
// "owner/name/unet/diffusion_pytorch_model.fp16.safetensors", "static/pair/manifest.json".

import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, readdir, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

import { INDEX_NAME } from "../../tools/sdxl/full_size.mjs";
import { parseRange } from "./server.mjs";

/** Endings of the files that a hub keeps in Git LFS, and serves from its CDN. */
const LFS_ENDINGS = [".safetensors", ".bin", ".pt"];
/** Bytes per read from disk; small where a rate is to be kept. */
const READ_SIZE = { free: 256 * 1024, throttled: 16 * 1024 };
/** Faults of a body, which a request for the headers alone doesn't meet. */
const BODY_FAULTS = ["cut", "stall", "ignore-range", "wrong-content-range", "truncated", "flip"];
/** Where faults happen unless they name another place. */
const USUAL_ROUTE = { "dead-redirect": "resolve" };

/** What a browser's script may read of an answer of another origin. */
const EXPOSED_HEADERS = [
  "Accept-Ranges",
  "Content-Length",
  "Content-Range",
  "ETag",
  "Retry-After",
  "X-Linked-ETag",
  "X-Linked-Size",
  "X-Repo-Commit",
  "X-Error-Code",
  "Link",
].join(", ");

/**
 * What goes wrong with a file, and when.
 *
 * @typedef {object} Fault
 * @property {"cut" | "stall" | "status" | "ignore-range" | "wrong-content-range" | "truncated" |
 *   "flip" | "etag-changed" | "dead-redirect" | "no-cors" | "delay"} kind
 *   cut: the connection breaks after `bytes` of the body;
 *   stall: after `bytes` of the body nothing comes any more, and the connection stays;
 *   status: `status` is answered, with Retry-After where `retryAfter` is given;
 *   ignore-range: 200 and the whole file;
 *   wrong-content-range: 206 whose Content-Range lies `shift` bytes further on;
 *   truncated: 206 that ends in good order after `bytes`, with a Content-Length to match;
 *   flip: the byte at `offset` of the file is inverted;
 *   etag-changed: from this request on the file has another ETag, and is `content` where given;
 *   dead-redirect: the hub redirects to a port on which nobody listens;
 *   no-cors: the answer lacks all CORS headers;
 *   delay: the answer begins `milliseconds` late
 * @property {number} [times] how many matching requests are hit; 1 by default, Infinity for all
 * @property {number} [skip] how many matching requests are let through before
 * @property {number} [offset] only requests whose range holds this byte of the file match
 * @property {Route} [route] where it happens: at the content (CDN, static host, or the hub for
 *   small files) by default
 * @property {number} [bytes]
 * @property {number} [status]
 * @property {number} [retryAfter] seconds
 * @property {number} [shift] 1 by default
 * @property {Buffer} [content]
 * @property {number} [milliseconds]
 */

/**
 * What a request is for: the hub's redirect, its raw file (LFS pointer), its lists, or the bytes.
 *
 * @typedef {"resolve" | "raw" | "api" | "content"} Route
 */

/**
 * @typedef {object} LoggedRequest
 * @property {string} method
 * @property {Route} route
 * @property {string} path of the file, or the repository for the hub's lists
 * @property {string | null} range the Range header
 * @property {string | null} ifRange the If-Range header
 * @property {number} status
 */

/** A file as it is served now: from disk, or from memory where a fault has changed it. */
class Content {
  size;
  /** @type {Buffer | null} */
  #buffer;
  #file;

  constructor(size, file, buffer = null) {
    this.size = size;
    this.#file = file;
    this.#buffer = buffer;
  }

  /** The bytes from `start` to before `end`, piece by piece. */
  async *read(start, end, size = READ_SIZE.free) {
    if (this.#buffer !== null) {
      yield Buffer.from(this.#buffer.subarray(start, end));
    } else if (end > start) {
      yield* createReadStream(this.#file, { start, end: end - 1, highWaterMark: size });
    }
  }

  /** Feeds a hash with the bytes; its hexadecimal digits. */
  async digest(hash) {
    for await (const piece of this.read(0, this.size)) {
      hash.update(piece);
    }
    return hash.digest("hex");
  }
}

/** Whether a hub keeps the file in Git LFS. */
function isLarge(path) {
  return LFS_ENDINGS.includes(extname(path));
}

/** The text that stands for a large file in its repository. */
function lfsPointer(sha256, size) {
  return `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`;
}

/** The hash by which git knows a file of this size, before its bytes. */
function gitHash(size) {
  return createHash("sha1").update(`blob ${size}\0`);
}

function sleep(milliseconds) {
  // A test that has ended doesn't wait for it.
  return new Promise((resolve) => setTimeout(resolve, milliseconds).unref());
}

function listen(server) {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve(server.address().port));
  });
}

export class Hub {
  /** Every request so far, in order of arrival; those of CORS before others (OPTIONS) included. */
  /** @type {LoggedRequest[]} */
  requests = [];
  /**
   * Bytes of bodies that were handed to the network so far. A receiver that goes away may have got
   * less: the last few hundred kilobytes of a connection wait in the system's buffers.
   */
  bytesSent = 0;

  #root;
  #hub;
  #cdn;
  #origins = {};
  #sendsEtags;
  #allowedHeaders;
  #bytes = new Map();
  #spans = new Map();
  /** @type {Map<string, (Fault & {left: number, passes: number})[]>} */
  #faults = new Map();
  /** Content and ETag of files that a fault has changed. */
  #changed = new Map();
  #hashes = new Map();
  #commits = new Map();
  #signatures = new Set();
  /** The names that repositories have today, by those of old. */
  #renamed = new Map();
  /** Repositories that the hub doesn't give: the code of the reason, and the status. */
  #closed = new Map();
  /** The most files in an answer of a list. */
  #pageLength = 1000;
  #rate = Infinity;
  #nextSend = 0;

  constructor(root, sendsEtags, allowedHeaders) {
    this.#root = root;
    this.#sendsEtags = sendsEtags;
    this.#allowedHeaders = allowedHeaders;
    const server = (answer) =>
      createServer((request, response) => {
        answer(request, response).catch((error) => response.destroy(error));
      });
    this.#hub = server((request, response) => this.#answerHub(request, response));
    this.#cdn = server((request, response) => this.#answerCdn(request, response));
  }

  /**
   * Serves a folder on two ports of the system's choice.
   *
   * @param {string} root
   * @param {object} options
   * @param {boolean} [options.etags] whether content has an ETag: some CDNs send none
   * @param {string} [options.allowedHeaders] what a script may send beyond the plainest headers; a
   *   host that doesn't know If-Range refuses every request that has it
   */
  static async start(root, { etags = true, allowedHeaders = "Range, If-Range" } = {}) {
    const hub = new Hub(root, etags, allowedHeaders);
    const index = await readFile(join(root, INDEX_NAME), "utf8").catch(() => "{}");
    hub.#hashes = new Map(Object.entries(JSON.parse(index)));
    // The third port was free a moment ago, and nobody listens there.
    const dead = createServer();
    const ports = await Promise.all([hub.#hub, hub.#cdn, dead].map(listen));
    await new Promise((resolve) => dead.close(resolve));
    const [own, cdn, closed] = ports.map((port) => `http://127.0.0.1:${port}/`);
    hub.#origins = { own, cdn, closed };
    return hub;
  }

  /** The hub's address, with a slash at its end. */
  get url() {
    return this.#origins.own;
  }

  /** The address of a file below static/, or of that folder. */
  staticUrl(path = "") {
    return `${this.url}static/${path}`;
  }

  /** The address of a repository's file, from where the hub redirects to its CDN. */
  resolveUrl(repository, path) {
    return `${this.url}${repository}/resolve/${this.commit(repository)}/${path}`;
  }

  /** The commit that a repository's `main` is at. */
  commit(repository) {
    const made = () => createHash("sha1").update(repository).digest("hex");
    return this.#commits.get(repository) ?? made();
  }

  /** Gives a repository the commit that a manifest pins. */
  setCommit(repository, commit) {
    this.#commits.set(repository, commit);
  }

  /** Redirects an old name of a repository to the one that it has today. */
  rename(old, repository) {
    this.#renamed.set(old, repository);
  }

  /** Answers every question about a repository with this status, for the reason that the code names. */
  refuse(repository, status, code) {
    this.#closed.set(repository, { status, code });
  }

  /** Gives lists in pages of so many entries. */
  setPageLength(length) {
    this.#pageLength = length;
  }

  /** Bytes of bodies sent for this file. */
  bytesOf(path) {
    return this.#bytes.get(path) ?? 0;
  }

  /**
   * What was sent for this file so far, and how long that took from the first request for its
   * content to the last byte.
   *
   * @returns {{bytes: number, milliseconds: number}}
   */
  spanOf(path) {
    const { first, last } = this.#spans.get(path) ?? { first: 0, last: 0 };
    return { bytes: this.bytesOf(path), milliseconds: last - first };
  }

  /** Size and SHA-256 of a file as it lies on disk, or as a fault has changed it. */
  async describe(path) {
    const content = await this.#content(path);
    return { size: content.size, sha256: await this.#sha256(path, content) };
  }

  /** @param {string} path of the file @param {Fault} fault */
  fault(path, fault) {
    const faults = this.#faults.get(path) ?? [];
    faults.push({ ...fault, left: fault.times ?? 1, passes: fault.skip ?? 0 });
    this.#faults.set(path, faults);
  }

  /** Forgets what was asked for and sent so far. */
  clearCounts() {
    this.requests = [];
    this.bytesSent = 0;
    this.#bytes.clear();
    this.#spans.clear();
  }

  /** Ends all faults; files that they changed are again what lies on disk. */
  clearFaults() {
    this.#faults.clear();
    this.#changed.clear();
  }

  /** Slows all bodies together down to this many bytes per second; Infinity: as fast as it goes. */
  throttle(bytesPerSecond) {
    this.#rate = bytesPerSecond;
    this.#nextSend = 0;
  }

  async close() {
    const servers = [this.#hub, this.#cdn];
    for (const server of servers) {
      server.closeAllConnections();
    }
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }

  /** The faults that hit this request, by kind; each has then happened once more. */
  #hits(path, route, method, range) {
    const hits = {};
    for (const fault of this.#faults.get(path) ?? []) {
      const place = fault.route ?? USUAL_ROUTE[fault.kind] ?? "content";
      const { offset } = fault;
      const holdsOffset =
        offset === undefined || range === null || (range.start <= offset && offset <= range.end);
      const isMet = method !== "HEAD" || !BODY_FAULTS.includes(fault.kind);
      if (place !== route || !isMet || !holdsOffset || fault.left <= 0) {
        continue;
      }
      if (fault.passes > 0) {
        fault.passes -= 1;
        continue;
      }
      fault.left -= 1;
      (hits[fault.kind] ??= []).push(fault);
    }
    return hits;
  }

  /** A file as it is served now, or null where there is none. */
  async #content(path) {
    const changed = this.#changed.get(path);
    if (changed?.buffer !== undefined) {
      return new Content(changed.buffer.length, null, changed.buffer);
    }
    const file = join(this.#root, normalize(`/${path}`));
    const status = await stat(file).catch(() => null);
    return status?.isFile() ? new Content(status.size, file) : null;
  }

  async #sha256(path, content) {
    const changed = this.#changed.get(path);
    if (changed?.buffer !== undefined) {
      changed.sha256 ??= await content.digest(createHash("sha256"));
      return changed.sha256;
    }
    let known = this.#hashes.get(path);
    if (known?.size !== content.size) {
      known = { size: content.size, sha256: await content.digest(createHash("sha256")) };
      this.#hashes.set(path, known);
    }
    return known.sha256;
  }

  /** A strong validator that is, as on real CDNs, not the SHA-256. */
  async #etag(path, content) {
    const version = this.#changed.get(path)?.version ?? 0;
    return `"${(await this.#sha256(path, content)).slice(0, 32)}-${version}"`;
  }

  /** Notes a request; its status is filled in when it is known. */
  #log(request, route, path) {
    const entry = {
      method: request.method,
      route,
      path,
      range: request.headers.range ?? null,
      ifRange: request.headers["if-range"] ?? null,
      status: 0,
    };
    this.requests.push(entry);
    return entry;
  }

  #cors(request) {
    return {
      // A hub names the asking origin. After a redirect to the CDN that is "null", for which CDNs
      // answer with a star.
      "Access-Control-Allow-Origin": request.headers.origin ?? "*",
      "Access-Control-Expose-Headers": EXPOSED_HEADERS,
      Vary: "Origin",
    };
  }

  async #answerHub(request, response) {
    const path = decodeURIComponent(new URL(request.url, this.url).pathname).slice(1);
    const file = /^([^/]+\/[^/]+)\/(resolve|raw)\/([^/]+)\/(.+)$/.exec(path);
    const list = /^api\/models\/([^/]+\/[^/]+)\/(tree|revision)\/([^/]+)$/.exec(path);
    if (path.startsWith("static/")) {
      await this.#send(request, response, path, {
        // As most static hosts have it: who needs the bytes anew has to say so.
        "Cache-Control": extname(path) === ".json" ? "no-cache" : "max-age=600",
        ...this.#cors(request),
      });
    } else if (file !== null) {
      const [, repository, route, revision, name] = file;
      await this.#answerFile(request, response, { repository, route, revision, name });
    } else if (list !== null) {
      const [, repository, kind, revision] = list;
      await this.#answerList(request, response, { repository, kind, revision });
    } else {
      this.#end(request, response, this.#log(request, "api", path), 404, {}, "Not found\n");
    }
  }

  async #answerFile(request, response, { repository, route, revision, name }) {
    const path = `${repository}/${name}`;
    const large = isLarge(name);
    const commit = this.commit(repository);
    const content = await this.#content(path);
    const headers = { ...this.#cors(request), "X-Repo-Commit": commit };
    if (!large && content !== null && this.#knows(repository, revision)) {
      await this.#send(request, response, path, headers, route === "raw" ? "raw" : "content");
      return;
    }
    const entry = this.#log(request, route, path);
    if (this.#answerPreflight(request, response, entry)) {
      return;
    }
    const hits = this.#hits(path, route, request.method, null);
    if (await this.#answerFault(request, response, entry, hits, headers)) {
      return;
    }
    if (content === null || !this.#knows(repository, revision)) {
      const code = content === null ? "EntryNotFound" : "RevisionNotFound";
      const missing = { ...headers, "X-Error-Code": code };
      this.#end(request, response, entry, 404, missing, `${code}\n`);
      return;
    }
    const sha256 = await this.#sha256(path, content);
    if (route === "raw") {
      const type = { ...headers, "Content-Type": "text/plain; charset=utf-8" };
      this.#end(request, response, entry, 200, type, lfsPointer(sha256, content.size));
      return;
    }
    const signature = randomBytes(16).toString("hex");
    this.#signatures.add(signature);
    const query = `X-Amz-Expires=3600&X-Amz-Signature=${signature}`;
    const origin = hits["dead-redirect"] === undefined ? this.#origins.cdn : this.#origins.closed;
    const redirect = {
      ...headers,
      Location: `${origin}blobs/${encodeURIComponent(path)}?${query}`,
      "X-Linked-ETag": `"${sha256}"`,
      "X-Linked-Size": content.size,
      "Cache-Control": "no-store",
    };
    this.#end(request, response, entry, 302, redirect, "");
  }

  #knows(repository, revision) {
    return revision === "main" || revision === this.commit(repository);
  }

  async #answerList(request, response, { repository, kind, revision }) {
    const entry = this.#log(request, "api", repository);
    if (this.#answerPreflight(request, response, entry)) {
      return;
    }
    const headers = { ...this.#cors(request), "Content-Type": "application/json" };
    const hits = this.#hits(repository, "api", request.method, null);
    if (await this.#answerFault(request, response, entry, hits, headers)) {
      return;
    }
    const closed = this.#closed.get(repository);
    if (closed !== undefined) {
      const refused = { ...headers, "X-Error-Code": closed.code };
      this.#end(request, response, entry, closed.status, refused, JSON.stringify({ error: closed.code }));
      return;
    }
    const today = this.#renamed.get(repository);
    if (today !== undefined) {
      const { search } = new URL(request.url, this.url);
      const Location = `/api/models/${today}/${kind}/${encodeURIComponent(revision)}${search}`;
      this.#end(request, response, entry, 307, { ...headers, Location }, "");
      return;
    }
    const exists = await stat(join(this.#root, normalize(`/${repository}`))).catch(() => null);
    if (exists === null || !this.#knows(repository, revision)) {
      const error = exists === null ? "Repository not found" : `Invalid rev id: ${revision}`;
      const code = exists === null ? "RepoNotFound" : "RevisionNotFound";
      const missing = { ...headers, "X-Error-Code": code };
      this.#end(request, response, entry, 404, missing, JSON.stringify({ error }));
      return;
    }
    const asked = new URL(request.url, this.url);
    if (kind === "revision") {
      const answer = { id: repository, sha: this.commit(repository) };
      this.#end(request, response, entry, 200, headers, JSON.stringify(answer));
      return;
    }
    const recursive = asked.searchParams.get("recursive") === "true";
    const all = await this.#tree(repository, recursive);
    const start = Number(asked.searchParams.get("cursor") ?? 0);
    const end = start + this.#pageLength;
    if (end < all.length) {
      asked.searchParams.set("cursor", String(end));
      headers.Link = `<${asked}>; rel="next"`;
    }
    this.#end(request, response, entry, 200, headers, JSON.stringify(all.slice(start, end)));
  }

  async #tree(repository, recursive) {
    const found = await readdir(join(this.#root, repository), { recursive, withFileTypes: true });
    const entries = found.map(async (found) => {
      const full = join(found.path, found.name);
      const path = full.slice(join(this.#root, repository).length + 1);
      if (found.isDirectory()) {
        const oid = createHash("sha1").update(path).digest("hex");
        return { type: "directory", oid, size: 0, path };
      }
      const content = await this.#content(`${repository}/${path}`);
      const { size } = content;
      if (!isLarge(path)) {
        return { type: "file", oid: await content.digest(gitHash(size)), size, path };
      }
      const sha256 = await this.#sha256(`${repository}/${path}`, content);
      // What the repository itself holds of a large file is its pointer.
      const pointer = lfsPointer(sha256, size);
      const oid = gitHash(pointer.length).update(pointer).digest("hex");
      const lfs = { oid: sha256, size, pointerSize: pointer.length };
      return { type: "file", oid, size, lfs, path };
    });
    return (await Promise.all(entries)).sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async #answerCdn(request, response) {
    const address = new URL(request.url, this.#origins.cdn);
    const path = decodeURIComponent(address.pathname).replace(/^\/blobs\//, "");
    const headers = {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Expose-Headers": EXPOSED_HEADERS,
      "Cache-Control": "public, max-age=604800, immutable",
    };
    const signed = this.#signatures.has(address.searchParams.get("X-Amz-Signature"));
    if (!signed && request.method !== "OPTIONS") {
      const entry = this.#log(request, "content", path);
      this.#end(request, response, entry, 403, headers, "Forbidden\n");
      return;
    }
    await this.#send(request, response, path, headers);
  }

  /** Answers a file's bytes, or the range that is asked for. */
  async #send(request, response, path, headers, route = "content") {
    const entry = this.#log(request, route, path);
    if (this.#answerPreflight(request, response, entry)) {
      return;
    }
    const content = await this.#content(path);
    const asked = content === null ? null : parseRange(request.headers.range, content.size);
    const range = asked === "unsatisfiable" ? null : asked;
    const hits = this.#hits(path, route, request.method, range);
    if (await this.#answerFault(request, response, entry, hits, headers)) {
      return;
    }
    for (const { content: buffer } of hits["etag-changed"] ?? []) {
      const version = (this.#changed.get(path)?.version ?? 0) + 1;
      this.#changed.set(path, { version, buffer });
    }
    const served = await this.#content(path);
    if (served === null) {
      this.#end(request, response, entry, 404, headers, "Not found\n");
      return;
    }
    await this.#sendContent(request, response, entry, hits, headers, served);
  }

  async #sendContent(request, response, entry, hits, headers, content) {
    const { path } = entry;
    const { size } = content;
    const etag = this.#sendsEtags ? await this.#etag(path, content) : null;
    const fresh = entry.ifRange === null || (etag !== null && entry.ifRange === etag);
    let range = fresh ? parseRange(entry.range ?? undefined, size) : null;
    const all = {
      ...headers,
      "Content-Type": extname(path) === ".json" ? "application/json" : "application/octet-stream",
      "Accept-Ranges": "bytes",
      ...(etag === null ? {} : { ETag: etag }),
    };
    if (range === "unsatisfiable") {
      const none = { ...all, "Content-Range": `bytes */${size}` };
      this.#end(request, response, entry, 416, none, "");
      return;
    }
    if (hits["ignore-range"] !== undefined) {
      range = null;
    }
    const start = range?.start ?? 0;
    let end = range === null ? size : range.end + 1;
    if (range !== null) {
      const shift =
        hits["wrong-content-range"] === undefined ? 0 : (hits["wrong-content-range"][0].shift ?? 1);
      all["Content-Range"] = `bytes ${start + shift}-${end - 1 + shift}/${size}`;
    }
    if (hits.truncated !== undefined) {
      end = Math.min(end, start + (hits.truncated[0].bytes ?? 0));
    }
    all["Content-Length"] = end - start;
    entry.status = range === null ? 200 : 206;
    response.writeHead(entry.status, all);
    // They would wait for a body that may never come.
    response.flushHeaders();
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    const broken = hits.cut?.[0] ?? hits.stall?.[0];
    const stop = broken === undefined ? end : Math.min(end, start + (broken.bytes ?? 0));
    await this.#sendBody(response, path, content, start, stop, hits.flip ?? []);
    if (hits.cut !== undefined) {
      // What was written has to leave before the connection breaks.
      response.write("", () => response.destroy());
    } else if (hits.stall === undefined) {
      response.end();
    }
  }

  /** Writes the bytes from `start` to before `end` and counts them. */
  async #sendBody(response, path, content, start, end, flips) {
    const now = performance.now();
    const span = this.#spans.get(path) ?? { first: now, last: now };
    this.#spans.set(path, span);
    const size = this.#rate === Infinity ? READ_SIZE.free : READ_SIZE.throttled;
    let position = start;
    for await (const piece of content.read(start, end, size)) {
      for (const { offset } of flips) {
        if (position <= offset && offset < position + piece.length) {
          piece[offset - position] ^= 0xff;
        }
      }
      await this.#wait(piece.length);
      if (response.destroyed) {
        return;
      }
      this.bytesSent += piece.length;
      this.#bytes.set(path, this.bytesOf(path) + piece.length);
      span.last = performance.now();
      position += piece.length;
      if (!response.write(piece)) {
        await new Promise((resolve) => {
          const done = () => {
            response.off("drain", done);
            response.off("close", done);
            resolve();
          };
          response.on("drain", done);
          response.on("close", done);
        });
      }
    }
  }

  /** Waits for this many bytes' turn where bodies are slowed down. */
  async #wait(bytes) {
    if (this.#rate === Infinity) {
      return;
    }
    const now = performance.now();
    const turn = Math.max(now, this.#nextSend);
    this.#nextSend = turn + (bytes / this.#rate) * 1000;
    await sleep(this.#nextSend - now);
  }

  /** Answers the question whether a request is allowed; false: it is none. */
  #answerPreflight(request, response, entry) {
    if (request.method === "GET" || request.method === "HEAD") {
      return false;
    }
    const preflight = request.method === "OPTIONS";
    const headers = preflight
      ? {
          ...this.#cors(request),
          "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
          "Access-Control-Allow-Headers": this.#allowedHeaders,
          "Access-Control-Max-Age": 600,
        }
      : { Allow: "GET, HEAD, OPTIONS" };
    this.#end(request, response, entry, preflight ? 204 : 405, headers, "");
    return true;
  }

  /**
   * Does what faults do before any content; true: the request is answered with that.
   * `headers` lose those of CORS where a fault says so.
   */
  async #answerFault(request, response, entry, hits, headers) {
    for (const { milliseconds } of hits.delay ?? []) {
      await sleep(milliseconds);
    }
    if (hits["no-cors"] !== undefined) {
      for (const name of Object.keys(headers).filter((name) => name.startsWith("Access-Control"))) {
        delete headers[name];
      }
    }
    if (hits.status === undefined) {
      return false;
    }
    const { status, retryAfter } = hits.status[0];
    const all = {
      ...headers,
      // A passing trouble is not to be kept by caches.
      "Cache-Control": "no-store",
      ...(retryAfter === undefined ? {} : { "Retry-After": retryAfter }),
    };
    this.#end(request, response, entry, status, all, `Status ${status}\n`);
    return true;
  }

  #end(request, response, entry, status, headers, body) {
    entry.status = status;
    response.writeHead(status, headers);
    response.end(request.method === "HEAD" ? undefined : body);
  }
}
