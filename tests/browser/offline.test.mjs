// The page without a network, and its change from one build to the next.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFile, cp, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Browser } from "./browser.mjs";
import { DIST, FirststepPage, QUICK, cellNames } from "./page.mjs";
import { StaticServer } from "./server.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 3 * 60_000;
const FILL_SERVICE_WORKER = fileURLToPath(
  new URL("../../tools/setup/fill-service-worker", import.meta.url),
);
const WORKER_FILES = ["/start_engine.js", "/worker.js", "/worker_bg.wasm"];

/** Waits until the page's function, which may be asynchronous, gives something that is true. */
async function until({ page }, happens, argument) {
  while (!(await page.evaluate(happens, argument))) {
    await page.waitForTimeout(50);
  }
}

/** Asks for a newer build, as the page does every hour. What comes of it is not awaited. */
async function look({ page }) {
  await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    registration.update();
  });
}

function cacheNames({ page }) {
  return page.evaluate(() => caches.keys());
}

/** The text of a file as this page gets it. */
function textOf({ page }, path) {
  return page.evaluate(async (path) => (await fetch(path)).text(), path);
}

async function draw(page) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
  return page.image("distilled", 0);
}

/** Serves a copy of the build, which the test may change. */
async function withCopy(run) {
  const folder = await mkdtemp(join(tmpdir(), "firststep-build-"));
  try {
    await cp(DIST, folder, { recursive: true });
    const server = await StaticServer.start(folder);
    try {
      const browser = await Browser.shared();
      try {
        await run({ folder, server, browser });
        browser.assertNoProblems();
      } finally {
        await browser.close();
      }
    } finally {
      await server.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What trunk does last in each build. */
function fillServiceWorker(folder) {
  execFileSync(FILL_SERVICE_WORKER, { env: { ...process.env, TRUNK_STAGING_DIR: folder } });
}

test(
  "a page that was opened once draws the same without a network",
  { timeout: TIMEOUT },
  async () => {
    await withPage({ parameters: QUICK, isKept: true }, async ({ page, server }) => {
      const image = await draw(page);
      await page.waitUntilKept();
      await server.close();
      await page.reload();
      assert.equal(await page.control("prompt").inputValue(), QUICK.prompt);
      assert.match(page.page.url(), /#.*distilled-steps=2/);
      assert.deepEqual(await draw(page), image);
    });
  },
);

test(
  "a new build waits for the runs of all tabs and for the visitor's word",
  { timeout: TIMEOUT },
  async () => {
    await withCopy(async ({ folder, server, browser }) => {
      const drawing = new FirststepPage(await browser.newPage(), server.url);
      // More than is drawn before it is cancelled, however long the deploy takes.
      await drawing.open({ ...QUICK, modes: "base", "seed-count": 16, "base-steps": 100 });
      await drawing.waitUntilKept();
      const idle = new FirststepPage(await browser.newPage(), server.url);
      await idle.open(QUICK);
      const oldLoader = await textOf(drawing, "start_engine.js");
      await drawing.pressGenerate();
      await drawing.page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });

      // A deploy: another page, a file of another name, a changed worker.
      const oldIcon = (await readdir(folder)).find((name) => /^icon-\w+\.svg$/.test(name));
      const newIcon = "icon-of-the-next-build.svg";
      await rename(join(folder, oldIcon), join(folder, newIcon));
      await appendFile(join(folder, "start_engine.js"), "// of the next build\n");
      const index = (await readFile(join(folder, "index.html"), "utf8"))
        .replaceAll(oldIcon, newIcon)
        .replace("</head>", "<style>:root { --build: next; }</style></head>");
      await writeFile(join(folder, "index.html"), index);
      fillServiceWorker(folder);
      const newLoader = await readFile(join(folder, "start_engine.js"), "utf8");

      await look(drawing);
      const offer = drawing.control("update-offer");
      await offer.getByText(/waits until the run is over/).waitFor();
      assert.ok(await drawing.control("update-now").isDisabled());
      // What the host has no more, and what it has another of.
      assert.ok((await textOf(drawing, oldIcon)).length > 0);
      assert.equal(await textOf(drawing, "start_engine.js"), oldLoader);

      await idle.control("update-now").click();
      await idle.control("update-offer").getByText(/Another tab of this page is drawing/).waitFor();
      assert.ok(Object.values(await drawing.cellStates()).includes("running"));

      await drawing.control("cancel").click();
      await drawing.waitForStatus([/cancelled/i], 30_000);
      await drawing.page.locator('[data-testid="update-now"]:enabled').waitFor();
      assert.match(await offer.innerText(), /A new version of this page is ready\.\s/);
      const buildOf = (page) =>
        page.page.evaluate(() =>
          getComputedStyle(document.documentElement).getPropertyValue("--build").trim(),
        );
      assert.equal(await buildOf(drawing), "", "nothing changes by itself");
      // A reload is no consent either.
      await drawing.reload();
      assert.equal(await buildOf(drawing), "");
      // A tab whose engine still starts is not free, and the word would be given in vain.
      await drawing.waitForStatus([/^Ready/], 60_000);

      await idle.control("update-now").click();
      for (const page of [idle, drawing]) {
        await page.page.waitForFunction(
          () => getComputedStyle(document.documentElement).getPropertyValue("--build") !== "",
          null,
          // The tab in the background paints no frame that could be waited for.
          { polling: 50, timeout: 30_000 },
        );
        await page.waitForStatus([/^Ready/], 60_000);
        assert.match(page.page.url(), /prompt=/);
        assert.equal(await textOf(page, "start_engine.js"), newLoader);
        assert.equal(await page.control("update-now").count(), 0);
      }
      assert.equal((await cacheNames(idle)).length, 1, "the old build is gone");
      const kept = await idle.page.evaluate((name) => caches.match(name).then(Boolean), oldIcon);
      assert.equal(kept, false);
    });
  },
);

test(
  "an install that breaks off, or meets another build's file, keeps nothing",
  { timeout: TIMEOUT },
  async () => {
    // The page has started by the time when the service worker comes.
    const prepare = ({ server }) =>
      server.fault("/service_worker.js", { delayMilliseconds: 1_000 });
    await withPage({ parameters: QUICK, prepare, isKept: true }, async ({ page, server }) => {
      const requestsFor = (path) => server.requests.filter((request) => request.path === path);
      for (const [path, fault] of [
        ["/worker_bg.wasm", { truncate: 100_000 }],
        ["/worker.js", { flipByte: 10 }],
      ]) {
        while (requestsFor("/service_worker.js").length === 0) {
          await page.page.waitForTimeout(50);
        }
        server.fault(path, fault);
        const isRegistered = async (expected) =>
          ((await navigator.serviceWorker.getRegistration()) !== undefined) === expected;
        await until(page, isRegistered, true);
        await until(page, isRegistered, false);
        assert.deepEqual(await cacheNames(page), []);
        server.clearFaults();
        server.requests.length = 0;
        prepare({ server });
        await page.reload();
      }
      await page.waitUntilKept();
      await server.close();
      await page.reload();
      await page.waitForStatus([/^Ready/], 60_000);
    });
  },
);

test("a hard reload asks the host for everything, workers too", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: QUICK, isKept: true }, async ({ page, server }) => {
    await page.waitUntilKept();
    server.requests.length = 0;
    const session = await page.page.context().newCDPSession(page.page);
    await session.send("Page.reload", { ignoreCache: true });
    await page.waitForStatus([/^Ready/], 60_000);
    const paths = new Set(server.requests.map(({ path }) => path));
    assert.deepEqual(
      ["/", ...WORKER_FILES].filter((path) => !paths.has(path)),
      [],
    );
  });
});

test(
  "the development server's page keeps nothing, and what was kept goes",
  { timeout: TIMEOUT },
  async () => {
    await withCopy(async ({ folder, server, browser }) => {
      const page = new FirststepPage(await browser.newPage(), server.url);
      await page.open(QUICK);
      await page.waitUntilKept();
      await appendFile(join(folder, "index.html"), "<!-- /.well-known/trunk/ws -->");
      fillServiceWorker(folder);
      await Promise.all([page.page.waitForEvent("load"), look(page)]);
      await until(page, async () => (await caches.keys()).length === 0);
      server.requests.length = 0;
      await page.reload();
      const paths = server.requests.map(({ path }) => path);
      assert.ok(paths.includes("/"), `the page comes from the host again: ${paths}`);
    });
  },
);
