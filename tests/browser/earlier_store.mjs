// The store of an earlier version of the page: how it was written down, and how it comes back.
//
// Usage: node tests/browser/earlier_store.mjs
// DIST names the folder with the built page of that version. It draws once with the bundled pair, and
// writes the records of one of its files to tests/earlier/store.json.gz.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";

import { DIST, PAIR_PATH, QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const FIXTURE = fileURLToPath(new URL("../earlier/store.json.gz", import.meta.url));
/** The component whose file is written down: the smallest that has tensors. */
export const COMPONENT = "text_encoder";
const TIMEOUT = 5 * 60_000;

/** The records of the store, without those of other files than `id`. */
function dump(page, id) {
  return page.page.evaluate(
    (id) =>
      new Promise((resolve, reject) => {
        const encode = (value) => {
          if (value instanceof Uint8Array) {
            const characters = Array.from(value, (byte) => String.fromCharCode(byte));
            return { base64: btoa(characters.join("")) };
          }
          if (Array.isArray(value)) {
            return value.map(encode);
          }
          if (value instanceof Map) {
            throw new Error("records are plain objects");
          }
          if (typeof value === "object" && value !== null) {
            return Object.fromEntries(
              Object.entries(value).map(([key, field]) => [key, encode(field)]),
            );
          }
          return value;
        };
        const open = indexedDB.open("firststep");
        open.onerror = () => reject(open.error);
        open.onsuccess = () => {
          const database = open.result;
          const names = Array.from(database.objectStoreNames);
          const transaction = database.transaction(names);
          const records = [];
          for (const store of names) {
            transaction.objectStore(store).openCursor().onsuccess = ({ target: { result } }) => {
              if (result === null) {
                return;
              }
              if (store === "pairs" || String(result.key).startsWith(id)) {
                records.push({ store, key: result.key, value: encode(result.value) });
              }
              result.continue();
            };
          }
          transaction.oncomplete = () => {
            database.close();
            resolve({ version: database.version, stores: names, records });
          };
        };
      }),
    id,
  );
}

/** Puts the written records into the store of the page's origin, which has none yet. */
export async function restoreEarlierStore(page) {
  const written = JSON.parse(gunzipSync(await readFile(FIXTURE)));
  await page.evaluate(
    ({ version, stores, records }) =>
      new Promise((resolve, reject) => {
        const decode = (value) => {
          if (Array.isArray(value)) {
            return value.map(decode);
          }
          if (typeof value !== "object" || value === null) {
            return value;
          }
          if (typeof value.base64 === "string") {
            return Uint8Array.from(atob(value.base64), (character) => character.charCodeAt(0));
          }
          return Object.fromEntries(
            Object.entries(value).map(([key, field]) => [key, decode(field)]),
          );
        };
        const open = indexedDB.open("firststep", version);
        open.onupgradeneeded = () => {
          for (const name of stores) {
            open.result.createObjectStore(name);
          }
        };
        open.onerror = () => reject(open.error);
        open.onsuccess = () => {
          const database = open.result;
          const transaction = database.transaction(stores, "readwrite");
          for (const { store, key, value } of records) {
            // The port of the server, which is part of a manifest's address, is another one now.
            const placed = store === "pairs" ? new URL(new URL(key).pathname, origin).href : key;
            transaction.objectStore(store).put(decode(value), placed);
          }
          transaction.onerror = () => reject(transaction.error);
          transaction.oncomplete = () => {
            database.close();
            resolve();
          };
        };
      }),
    written,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const manifest = JSON.parse(await readFile(`${DIST}${PAIR_PATH}manifest.json`, "utf8"));
  const [{ sha256 }] = manifest.components[COMPONENT].files;
  await withPage({ parameters: QUICK, isFirstVisit: true }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    const written = await dump(page, sha256);
    const compressed = gzipSync(JSON.stringify(written), { level: 9 });
    await writeFile(FIXTURE, compressed);
    console.log(`${written.records.length} records, ${compressed.length} bytes`);
  });
}
