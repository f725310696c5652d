// What a host may send by mistake or malice: each a sentence on the page, and the next good load
// works.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";

import { DIST, PAIR_PATH, QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 3 * 60_000;
const MANIFEST_PATH = `${PAIR_PATH}manifest.json`;
const COMPONENT = "unet_distilled";

const manifest = JSON.parse(await readFile(join(DIST, MANIFEST_PATH), "utf8"));
const entry = manifest.components[COMPONENT].files[0];
const filePath = PAIR_PATH + entry.path;
const transferred = await readFile(join(DIST, filePath));
const original = entry.compression === "gzip" ? gunzipSync(transferred) : transferred;

/** A safetensors file of this JSON header and these many bytes of zeros. */
function safetensors(header, dataLength, headerLength) {
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(headerLength ?? json.length));
  return Buffer.concat([length, json, Buffer.alloc(dataLength)]);
}

/** The manifest after a change, as the server sends it. */
function changedManifest(change) {
  const copy = structuredClone(manifest);
  change(copy);
  return Buffer.from(JSON.stringify(copy));
}

/** Serves `body` as the file, with a manifest that it fits: what objects is the parser. */
function serveWithFittingManifest(server, body) {
  server.fault(filePath, { replaceBody: body });
  server.fault(MANIFEST_PATH, {
    replaceBody: changedManifest((copy) => {
      copy.components[COMPONENT].files = [
        {
          path: entry.path,
          size: body.length,
          sha256: createHash("sha256").update(body).digest("hex"),
        },
      ];
    }),
  });
}

// The longest that a local server, the check of a file and the page together take.
const SENTENCE_TIMEOUT = 60_000;

async function assertGoodRun(page) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
}

// Every pattern has to be in the sentence that the visitor reads.
const fileName = new RegExp(entry.path.replace(/[.]/g, "\\."));

// Faults of the transfer alone: the page has the true manifest, and the next press loads anew.
const TRANSFER_FAULTS = [
  {
    name: "a transfer that breaks off",
    // A part that brings anything is gone on with where it broke off, and is no fault at all.
    fault: { truncate: 0 },
    patterns: [fileName],
  },
  {
    name: "a file shorter than the manifest says",
    fault: { replaceBody: transferred.subarray(0, Math.floor(transferred.length / 2)) },
    patterns: [fileName, /bytes/],
  },
  {
    name: "a file with another hash",
    fault: { flipByte: transferred.length - 1 },
    patterns: [fileName, /SHA-256|hash|checksum/i],
  },
  {
    name: "a file that the host doesn't have",
    fault: { status: 404 },
    patterns: [fileName, /404/],
  },
];

for (const { name, fault, patterns } of TRANSFER_FAULTS) {
  test(
    `${name} is a sentence, and the next press of Generate works`,
    { timeout: 2 * TIMEOUT },
    async () => {
      const prepare = ({ server, browser }) => {
        server.fault(filePath, fault);
        // Chromium itself notes what the network refused; the page has to handle it all the same.
        browser.expectProblem(/^Failed to load resource: /);
      };
      await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
        await page.pressGenerate();
        await page.waitForStatus(patterns, SENTENCE_TIMEOUT);
        server.clearFaults();
        await assertGoodRun(page);
      });
    },
  );
}

test(
  "a download from a host that falls silent can be cancelled",
  { timeout: 2 * TIMEOUT },
  async () => {
    const prepare = ({ server }) => server.fault(filePath, { delayMilliseconds: 10 * 60_000 });
    await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
      await page.pressGenerate();
      await page.waitForStatus([/downloading/i], SENTENCE_TIMEOUT);
      await page.control("cancel").click();
      await page.waitForStatus([/cancelled/i], SENTENCE_TIMEOUT);
      server.clearFaults();
      await assertGoodRun(page);
    });
  },
);

// Files that are what their manifest says, and no safetensors files all the same.
const FILE_FAULTS = [
  {
    name: "a truncated safetensors file",
    body: original.subarray(0, Math.floor(original.length / 2)),
    patterns: [/cut off|truncated/, fileName],
  },
  {
    name: "a safetensors file whose header claims over 100 MB",
    body: safetensors({}, 64, 100_000_001),
    patterns: [/header/, fileName],
  },
  {
    name: "a safetensors file whose tensors overlap",
    body: safetensors(
      {
        first: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
        second: { dtype: "F32", shape: [2], data_offsets: [4, 12] },
      },
      12,
    ),
    patterns: [/overlap/, fileName, /first/, /second/],
  },
];

for (const { name, body, patterns } of FILE_FAULTS) {
  test(
    `${name} is a sentence, and a reload with the true file works`,
    { timeout: 2 * TIMEOUT },
    async () => {
      const prepare = ({ server }) => serveWithFittingManifest(server, body);
      await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
        await page.pressGenerate();
        await page.waitForStatus(patterns, SENTENCE_TIMEOUT);
        server.clearFaults();
        await page.reload();
        await assertGoodRun(page);
      });
    },
  );
}

// The page can't start with these; it says so without a press.
const MANIFEST_FAULTS = [
  {
    name: "a manifest with an unknown scheduler",
    fault: {
      replaceBody: changedManifest((copy) => {
        copy.schedulers.distilled._class_name = "UnheardOfScheduler";
      }),
    },
    patterns: [/UnheardOfScheduler/],
  },
  {
    name: "a manifest that is no JSON",
    fault: { replaceBody: Buffer.from("<!doctype html><title>Not found</title>") },
    patterns: [/manifest/],
  },
  {
    name: "a manifest that the host doesn't have",
    fault: { status: 404 },
    patterns: [/404/, /manifest/],
  },
];

for (const { name, fault, patterns } of MANIFEST_FAULTS) {
  test(
    `${name} is a sentence, and a reload with the true one works`,
    { timeout: 2 * TIMEOUT },
    async () => {
      const prepare = ({ server, browser }) => {
        server.fault(MANIFEST_PATH, fault);
        browser.expectProblem(/^Failed to load resource: /);
      };
      await withPage({ parameters: QUICK, prepare, isFirstVisit: true }, async ({ page, server }) => {
        await page.waitForStatus(patterns, SENTENCE_TIMEOUT);
        server.clearFaults();
        await page.reload();
        await assertGoodRun(page);
      });
    },
  );
}
