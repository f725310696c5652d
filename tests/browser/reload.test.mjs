// The second visit reads the weights from the browser's own store.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { Browser } from "./browser.mjs";
import { DIST, FirststepPage, PAIR_PATH, QUICK, cellNames, eventually } from "./page.mjs";
import { StaticServer } from "./server.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 5 * 60_000;
// Both UNets, so that every file of the pair is needed.
const PARAMETERS = { ...QUICK, modes: "distilled,hybrid" };

/** Draws once in a browser of its own; the requests below the pair's folder, and the images. */
async function visit(server, userDataDirectory) {
  const before = server.requests.length;
  const browser = await Browser.launch({ userDataDirectory });
  try {
    const page = new FirststepPage(await browser.newPage(), server.url);
    await page.open(PARAMETERS);
    await page.waitUntilKept();
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled", "hybrid"], 1), TIMEOUT);
    const images = [await page.image("distilled", 0), await page.image("hybrid", 0)];
    browser.assertNoProblems();
    const requests = server.requests
      .slice(before)
      .filter((request) => request.path.startsWith(PAIR_PATH))
      .map((request) => request.path);
    return { requests, images };
  } finally {
    await browser.close();
  }
}

test(
  "a second visit asks for the manifest alone and draws the same pixels",
  { timeout: 2 * TIMEOUT },
  async () => {
    const userDataDirectory = await mkdtemp(join(tmpdir(), "firststep-"));
    // One server for both visits: a store belongs to an origin, and the port is part of it.
    const server = await StaticServer.start(DIST);
    try {
      const first = await visit(server, userDataDirectory);
      const manifest = `${PAIR_PATH}manifest.json`;
      assert.ok(
        first.requests.some((path) => path !== manifest),
        "the first visit has to load weights over the network",
      );

      const second = await visit(server, userDataDirectory);
      assert.deepEqual(
        second.requests.filter((path) => path !== manifest),
        [],
        "the second visit makes no request for weights",
      );
      for (const [index, image] of first.images.entries()) {
        assert.deepEqual(second.images[index], image, "the same recipe gives the same pixels");
      }
    } finally {
      await server.close();
      await rm(userDataDirectory, { recursive: true, force: true });
    }
  },
);

/** What a method of one of the store's object stores gives. */
function readStore(page, name, method, ...parameters) {
  return page.page.evaluate(
    ({ name, method, parameters }) =>
      new Promise((resolve, reject) => {
        const open = indexedDB.open("firststep");
        open.onerror = () => reject(open.error);
        open.onsuccess = () => {
          const read = open.result.transaction(name).objectStore(name)[method](...parameters);
          read.onerror = () => reject(read.error);
          read.onsuccess = () => {
            open.result.close();
            resolve(read.result);
          };
        };
      }),
    { name, method, parameters },
  );
}

/** The hashes of the files that the store holds whole. */
function storedFiles(page) {
  return readStore(page, "files", "getAllKeys");
}

test(
  "a reload in the middle of the first visit goes on by itself with what is missing",
  { timeout: 2 * TIMEOUT },
  async () => {
    const manifest = JSON.parse(await readFile(join(DIST, PAIR_PATH, "manifest.json"), "utf8"));
    // The last file never comes before the reload.
    const late = PAIR_PATH + manifest.components.vae.files[0].path;
    const prepare = ({ server }) => server.fault(late, { delayMilliseconds: 10 * 60_000 });
    await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
      const inPack = () =>
        server.requests.map(({ path }) => path).filter((path) => /[.]gzip$/.test(path));
      await page.pressGenerate();
      await eventually(() => assert.ok(inPack().includes(late)), TIMEOUT);
      const first = new Set(inPack());
      assert.ok(first.size > 1, "other files have come before");
      const { length } = server.requests;
      server.clearFaults();
      await page.reload();
      // Nothing is pressed: the load goes on, and is said to be complete.
      await page.page.getByText(/works without a network/).waitFor({ timeout: TIMEOUT });
      const again = server.requests.slice(length).map(({ path }) => path);
      assert.ok(again.includes(late));
      const fetchedTwice = again.filter((path) => path !== late && first.has(path));
      assert.deepEqual(fetchedTwice, [], "what had come was not fetched again");
      const requests = inPack().length;
      await page.pressGenerate();
      await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
      assert.equal(inPack().length, requests, "all of the pair is there");
    });
  },
);

test(
  "a reload in the middle of a packed file goes on where the file was",
  { timeout: 2 * TIMEOUT },
  async () => {
    const manifest = JSON.parse(await readFile(join(DIST, PAIR_PATH, "manifest.json"), "utf8"));
    const [file] = manifest.components.unet.files;
    const path = PAIR_PATH + file.path;
    const delayFrom = Math.floor(file.size / 2);
    const prepare = ({ server }) =>
      server.fault(path, { delayMilliseconds: 10 * 60_000, delayFrom });
    await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
      const starts = () =>
        server.requests
          .filter((request) => request.path === path)
          .map(({ range }) => Number(/^bytes=(\d+)-/.exec(range)[1]));
      await page.pressGenerate();
      await eventually(() => assert.ok(starts().some((start) => start >= delayFrom)), TIMEOUT);
      // All that is not held back gets stored.
      await eventually(async () => {
        const { position } = await readStore(page, "progress", "get", file.sha256);
        assert.ok(position >= delayFrom, `${position} bytes are stored`);
      }, TIMEOUT);
      const { length } = starts();
      server.clearFaults();
      await page.reload();
      await page.page.getByText(/works without a network/).waitFor({ timeout: TIMEOUT });
      const again = starts().slice(length);
      assert.ok(again.length > 0);
      assert.ok(
        Math.min(...again) >= delayFrom,
        `asked again from ${Math.min(...again)} on, where ${delayFrom} bytes had come`,
      );
      await page.pressGenerate();
      await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    });
  },
);

test(
  "a new version of a pair takes the old one's place in the store",
  { timeout: 2 * TIMEOUT },
  async () => {
    const manifest = JSON.parse(await readFile(join(DIST, PAIR_PATH, "manifest.json"), "utf8"));
    const hashes = (manifest) =>
      [
        ...new Set(Object.values(manifest.components).flatMap(({ files }) => files)),
      ].map(({ sha256 }) => sha256);
    // The older version differs in one file: the same VAE, not compressed.
    const [file] = manifest.components.vae.files;
    const body = gunzipSync(await readFile(join(DIST, PAIR_PATH, file.path)));
    const older = structuredClone(manifest);
    older.components.vae.files = [
      {
        path: file.path,
        size: body.length,
        sha256: createHash("sha256").update(body).digest("hex"),
      },
    ];
    const prepare = ({ server }) => {
      server.fault(PAIR_PATH + file.path, { replaceBody: body });
      server.fault(`${PAIR_PATH}manifest.json`, { replaceBody: Buffer.from(JSON.stringify(older)) });
    };
    await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
      const drawAndList = async () => {
        await page.pressGenerate();
        await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
        return new Set(await storedFiles(page));
      };
      assert.deepEqual(await drawAndList(), new Set(hashes(older)));
      server.clearFaults();
      await page.reload();
      assert.deepEqual(await drawAndList(), new Set(hashes(manifest)));
    });
  },
);
