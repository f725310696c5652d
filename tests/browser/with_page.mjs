// The page for a test, with a hub where the test is of the Models panel.

import { after } from "node:test";

import { Browser, closePrograms } from "./browser.mjs";
import { Hub } from "./hub.mjs";
import { LibraryPanel, SMALL, encodedPair, offer } from "./library.mjs";
import { DIST, FirststepPage } from "./page.mjs";
import { StaticServer } from "./server.mjs";

// The tests of a file share one program: to start it takes longer than many a test.
after(async () => {
  await closePrograms();
  await (await returning)?.server.close();
});

// A service worker that keeps nothing: the page's own fetches and hashes every file of the build,
// beside whatever else a test wants to see.
const KEEPING_NOTHING = { "/service_worker.js": { replaceBody: Buffer.from("") } };

/**
 * A visitor who comes back to the same server: the weights are there once a test has drawn. To fetch,
 * check and store them takes far longer than to draw.
 *
 * @type {Promise<{server: StaticServer, browser: Browser}> | undefined}
 */
let returning;

async function firstVisit({ webgpu, isKept }) {
  return {
    server: await StaticServer.start(DIST, isKept ? {} : KEEPING_NOTHING),
    browser: await Browser.shared({ webgpu }),
  };
}

/** Leaves nothing of a test behind but the weights. */
async function forget({ server, browser }) {
  server.clearFaults();
  await browser.closePages();
  const page = await browser.newPage();
  // A file of the page's own host that runs nothing.
  await page.goto(`${server.url}service_worker.js`);
  await page.evaluate(() => {
    localStorage.clear();
    const gone = (name) =>
      new Promise((resolve, reject) => {
        const request = indexedDB.deleteDatabase(name);
        request.onsuccess = resolve;
        request.onerror = () => reject(request.error);
      });
    return Promise.all(["firststep-history", "firststep-experiments"].map(gone));
  });
  await browser.closePages();
  server.requests = [];
}

/**
 * Opens a page, hands it to `run` and looks for problems afterwards.
 *
 * @param {object} options
 * @param {Record<string, string | number>} options.parameters after the `#`
 * @param {"software" | "off"} [options.webgpu]
 * @param {boolean} [options.isFirstVisit] whether the browser's stores have to be empty
 * @param {boolean} [options.isKept] whether the page's service worker keeps it for later visits
 * @param {(tools: {page: FirststepPage, server: StaticServer, browser: Browser}) => unknown}
 *   [options.prepare] called before the page is opened
 * @param {(tools: {page: FirststepPage, server: StaticServer, browser: Browser}) => unknown} run
 */
export async function withPage(options, run) {
  const { parameters, prepare, webgpu = "software", isKept = false } = options;
  const isFirstVisit = (options.isFirstVisit ?? false) || isKept || webgpu === "off";
  const visit = isFirstVisit
    ? await firstVisit({ webgpu, isKept })
    : await (returning ??= firstVisit({ webgpu, isKept }));
  const { server, browser } = visit;
  try {
    const page = new FirststepPage(await browser.newPage(), server.url);
    const tools = { page, server, browser };
    await prepare?.(tools);
    await page.open(parameters);
    await run(tools);
    browser.assertNoProblems();
  } finally {
    if (isFirstVisit) {
      await browser.close();
      await server.close();
    } else {
      await forget(visit);
    }
  }
}

/**
 * Opens the page with the small pair on a hub, hands all of it to `run` and looks for problems
 * afterwards.
 *
 * @param {object} options
 * @param {string} options.models folder with the hub's files, of `smallModels`
 * @param {object} [options.pair] options of `smallPair`
 * @param {object} [options.hubOptions] options of `Hub.start`
 * @param {(tools: object) => unknown} [options.prepare] called before the page is opened
 */
export async function withLibrary({ models, pair, hubOptions, prepare }, run) {
  const hub = await Hub.start(models, hubOptions);
  const server = await StaticServer.start(DIST, KEEPING_NOTHING);
  const browser = await Browser.shared();
  try {
    const manifest = await encodedPair(hub, pair);
    offer(server, hub, { [SMALL]: manifest });
    const page = new FirststepPage(await browser.newPage(), server.url);
    const library = new LibraryPanel(page);
    const tools = { hub, server, browser, page, library, manifest };
    await prepare?.(tools);
    await page.open({ device: "cpu" });
    await run(tools);
    browser.assertNoProblems();
  } finally {
    await browser.close();
    await server.close();
    await hub.close();
  }
}
