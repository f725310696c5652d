// How fast and with how much memory a real pair arrives in the page's store: files of Stable
// Diffusion XL's layout and size come from a hub on this machine into headless Chromium. Beside it
// stands what cannot be left out: fetching and hashing the same bytes, reading the same records.
//
// Usage: node benches/load.mjs [--encoding pair|q4|q8|f16]… [--peer]
//   --encoding  how tensors are stored, several in turn; pair, the default: as its manifest says
//   --peer      measures the peer alone
// DIST names the folder with the built page. The files take 8 GB, and the profile as much again.

import { once } from "node:events";
import { createReadStream } from "node:fs";
import { readFile, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Browser } from "../tests/browser/browser.mjs";
import { Hub } from "../tests/browser/hub.mjs";
import { DIST, FirststepPage } from "../tests/browser/page.mjs";
import { StaticServer } from "../tests/browser/server.mjs";
import { writeModels } from "../tools/sdxl/full_size.mjs";
import { MemoryWatch } from "./load/memory.mjs";
import { offerPair, RECORDS, startLoad, waitUntilLoaded, warmRead } from "./load/page.mjs";
import { installPackages } from "./prepare.mjs";

const TARGET = fileURLToPath(new URL("../target/", import.meta.url));
const FILES = join(TARGET, "full-size");
/** The browser's profile: it lies where there is room for gigabytes. */
const PROFILE = join(TARGET, "bench-profile");
const UNET = {
  repository: "stabilityai/stable-diffusion-xl-base-1.0",
  path: "unet/diffusion_pytorch_model.fp16.safetensors",
};
/** The files of the pair, by a part of their names. */
const WANTED = [
  `${UNET.repository}/unet/`,
  `${UNET.repository}/text_encoder`,
  "madebyollin/",
  "tianweiy/DMD2/dmd2_sdxl_4step_lora",
];
/** The loader's own. */
const PART_SIZE = 4 * 1024 * 1024;
const PARALLEL = 6;
/** What was promised: the time of a phase against that of its peer, and bytes of wasm memory. */
const LIMITS = { arrival: 1.5, warm: 1.3, heap: 512 * 1024 * 1024 };

const { values: options } = parseArgs({
  options: {
    encoding: { type: "string", multiple: true, default: ["pair"] },
    peer: { type: "boolean", default: false },
  },
});

function megabytes(bytes) {
  return (bytes / 1e6).toFixed(0);
}

/** Bytes per second in megabytes. */
function speed({ bytes, milliseconds }) {
  return bytes / 1e3 / milliseconds;
}

function printTable(rows) {
  for (const cells of rows) {
    const [first, ...rest] = cells;
    console.log(first.padEnd(40) + rest.map((cell) => cell.padStart(12)).join(""));
  }
  console.log();
}

/** Reads the files once, so that the first phase isn't alone with the disk's speed in it. */
async function fillDiskCache(paths) {
  for (const path of paths) {
    const file = createReadStream(join(FILES, path), { highWaterMark: PART_SIZE });
    await once(file.resume(), "end");
  }
}

/** Serves the peer's modules beside the page: IndexedDB is shared by origin alone. */
async function servePeer(server) {
  const modules = {
    "peer.mjs": "load/peer.mjs",
    "hash.mjs": "load/hash.mjs",
    "hash-wasm.mjs": "node_modules/hash-wasm/dist/index.esm.js",
  };
  for (const [name, path] of Object.entries(modules)) {
    const body = await readFile(new URL(path, import.meta.url));
    server.fault(`/bench/${name}`, { replaceBody: body });
  }
  const html = "<!doctype html><title>Peer</title><link rel=icon href=data:,>";
  server.fault("/bench/", { replaceBody: Buffer.from(html) });
}

/** Runs one of the peer's measurements in a worker of its own. */
async function runPeer(browser, server, task) {
  const page = await browser.newPage();
  try {
    await page.goto(`${server.url}bench/`);
    const result = await page.evaluate(
      (task) =>
        new Promise((resolve, reject) => {
          const worker = new Worker("peer.mjs", { type: "module" });
          worker.onmessage = ({ data }) => resolve(data);
          worker.onerror = (event) => reject(new Error(event.message));
          worker.postMessage(task);
        }),
      task,
    );
    if (result.error !== undefined) {
      throw new Error(result.error);
    }
    return result;
  } finally {
    await page.close();
  }
}

/** Bytes of all files below a folder. */
async function folderSize(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async (entry) => (await stat(join(entry.path, entry.name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Fetches the UNet once without and once with its hash. */
async function measurePeer(browser, server, hub) {
  const { size } = await hub.describe(`${UNET.repository}/${UNET.path}`);
  const task = {
    task: "fetchAndHash",
    url: hub.resolveUrl(UNET.repository, UNET.path),
    size,
    partSize: PART_SIZE,
    parallel: PARALLEL,
  };
  const fetched = await runPeer(browser, server, { ...task, hash: null });
  const hash = new URL("bench/hash.mjs", server.url).href;
  const hashed = await runPeer(browser, server, { ...task, hash });
  const expected = (await hub.describe(`${UNET.repository}/${UNET.path}`)).sha256;
  if (hashed.digest !== expected) {
    throw new Error(`The peer's hash of the UNet is ${hashed.digest} instead of ${expected}.`);
  }
  return { fetched, hashed };
}

/** Loads the pair through the page and reads it back. */
async function measureLoad(browser, server, hub, encoding) {
  const files = await offerPair(server, hub, encoding === "pair" ? null : encoding);
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const page = new FirststepPage(await browser.newPage(), server.url);
  const watch = await MemoryWatch.start(page.page, PROFILE);
  // What a tab died of is in the browser's own words: DEBUG=pw:browser shows them.
  page.page.on("crash", () => {
    console.error("The tab crashed. Its memory at most, in bytes:", watch.resident, watch.heaps);
  });
  await page.open({});
  hub.clearCounts();
  const started = performance.now();
  await startLoad(page);
  await waitUntilLoaded(page);
  const arrival = { bytes, milliseconds: performance.now() - started };
  await watch.stop();
  const unet = hub.spanOf(`${UNET.repository}/${UNET.path}`);
  await page.page.close();

  const raw = await runPeer(browser, server, { task: "readRecords", ...RECORDS });
  const again = new FirststepPage(await browser.newPage(), server.url);
  const warm = await warmRead(again);
  await again.page.close();
  return { arrival, unet, raw, warm, watch };
}

function printPeer({ fetched, hashed }) {
  printTable([
    ["", "MB", "s", "MB/s"],
    ...[
      ["peer: fetch of the UNet", fetched],
      ["peer: fetch and SHA-256", hashed],
    ].map(([name, phase]) => [name, ...numbers(phase)]),
  ]);
}

function numbers(phase) {
  const seconds = (phase.milliseconds / 1000).toFixed(1);
  return [megabytes(phase.bytes), seconds, speed(phase).toFixed(0)];
}

function printLoad(encoding, { hashed }, { arrival, unet, raw, warm, watch }, storeBytes) {
  const ratio = (phase, peer, limit) => {
    const value = speed(peer) / speed(phase);
    return [value.toFixed(2), `≤ ${limit.toFixed(1)}${value <= limit ? "" : " !"}`];
  };
  console.log(`Stored as: ${encoding}`);
  printTable([
    ["", "MB", "s", "MB/s", "× peer", "promised"],
    ["arrival of the pair", ...numbers(arrival), ...ratio(arrival, hashed, LIMITS.arrival)],
    [
      "of this the UNet, as the hub saw it",
      ...numbers(unet),
      ...ratio(unet, hashed, LIMITS.arrival),
    ],
    ["peer: the same records, read", ...numbers(raw)],
    ["warm read by the engine", ...numbers(warm), ...ratio(warm, raw, LIMITS.warm)],
  ]);
  printTable([
    ["memory and storage", "MB"],
    ...Object.entries(watch.heaps).map(([url, bytes]) => [
      `wasm heap of ${url.split("/").at(-1)}`,
      megabytes(bytes),
      `≤ ${megabytes(LIMITS.heap)}${bytes <= LIMITS.heap ? "" : " !"}`,
    ]),
    ...Object.entries(watch.resident).map(([kind, bytes]) => [
      `resident, ${kind}`,
      megabytes(bytes),
    ]),
    ["records", megabytes(raw.bytes)],
    ["IndexedDB on disk", megabytes(storeBytes)],
  ]);
}

installPackages();
const wants = (path) => WANTED.some((part) => path.startsWith(part));
const written = await writeModels(FILES, { wants, report: console.error });
await fillDiskCache(Object.keys(written).filter(wants));
const hub = await Hub.start(FILES);
const server = await StaticServer.start(DIST);
await servePeer(server);
let browser = null;
/** A browser whose stores are empty. */
const fresh = async () => {
  await browser?.close();
  await rm(PROFILE, { recursive: true, force: true });
  browser = await Browser.launch({ userDataDirectory: PROFILE });
  return browser;
};
try {
  const peer = await measurePeer(await fresh(), server, hub);
  printPeer(peer);
  for (const encoding of options.peer ? [] : options.encoding) {
    const load = await measureLoad(await fresh(), server, hub, encoding);
    const storeBytes = await folderSize(join(PROFILE, "Default", "IndexedDB"));
    printLoad(encoding, peer, load, storeBytes);
  }
} finally {
  await browser?.close();
  await rm(PROFILE, { recursive: true, force: true });
  await server.close();
  await hub.close();
}
