// Caches the page for visits without a network: all files of one build, or none.
//
// The files of a build fit each other and no other build's. So this worker has the list of its own
// build's files with their SHA-256, is installed only once that build's cache has each of them, and
// answers from that cache alone. A newer build's worker waits until the visitor asks for it.
//
// Weights are in IndexedDB, and the worker leaves requests for them to the network. The manifests of pairs
// and of the networks that measure pictures come from the network, and from the cache only where the network can't be reached.
//
// A worker without a list takes over at once, deletes the caches and unregisters itself. trunk's
// development server, whose pages change all the time, serves it so; and a host can so be rid of it.

// tools/setup/fill-service-worker writes both lines.
const BUILD = "";
const FILES = {};

const scope = self.registration.scope;
// The host may have other pages with caches of their own.
const CACHE_PREFIX = `firststep ${scope} `;
const CACHE = CACHE_PREFIX + BUILD;

const addressOf = (path) => new URL(path, scope).href;
// The page's own folder: some hosts redirect index.html to it.
const INDEX = addressOf("./");
const MODELS = [addressOf("pairs/"), addressOf("perceptual/")];

/** The SHA-256 of every file of the build, by its address. */
const digests = new Map(
  Object.entries(FILES).map(([path, digest]) => [
    path === "index.html" ? INDEX : addressOf(path),
    digest,
  ]),
);

const isManifest = (address) =>
  MODELS.some((folder) => address.startsWith(folder)) && address.endsWith(".json");

/** Fetches a file of this build; another content is an error. */
async function fetchOwn(address, digest) {
  // Revalidates the copy in the HTTP cache that the page has just got: mostly a few bytes.
  const response = await fetch(address, { cache: "no-cache" });
  if (!response.ok) {
    throw new Error(`The host answers ${response.status} for ${address}.`);
  }
  const copy = response.clone();
  const digested = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
  const bytes = Array.from(new Uint8Array(digested));
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== digest) {
    throw new Error(`${address} is not the file of the build ${BUILD}.`);
  }
  // A navigation takes no response that was redirected.
  return copy.redirected ? new Response(copy.body, copy) : copy;
}

async function install() {
  if (digests.size === 0) {
    await self.skipWaiting();
    return;
  }
  try {
    const cache = await caches.open(CACHE);
    for (const [address, digest] of digests) {
      // The cache has files of an earlier installation of this build, even of an unfinished one.
      if ((await cache.match(address)) === undefined) {
        try {
          await cache.put(address, await fetchOwn(address, digest));
        } catch (error) {
          // The page works without a manifest's copy: the store has the manifests of loaded pairs.
          if (!isManifest(address)) {
            throw error;
          }
        }
      }
    }
    if (!(await caches.has(CACHE))) {
      throw new Error("Another build was activated meanwhile.");
    }
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
}

async function activate() {
  const names = await caches.keys();
  const others = names.filter((name) => name.startsWith(CACHE_PREFIX) && name !== CACHE);
  await Promise.all(others.map((name) => caches.delete(name)));
  if (digests.size === 0) {
    await self.registration.unregister();
  }
}

/** The cached response to an address, whatever headers the request has. */
function fromCache(address) {
  return caches.match(address, { cacheName: CACHE, ignoreVary: true });
}

/** A file of the build, from the host where the browser has evicted the cache. */
async function buildFile(address, request) {
  return (await fromCache(address)) ?? fetch(request);
}

/**
 * Workers of pages that a hard reload has brought from the network. Their requests come here all the
 * same, but the workers have to be of their page's build, which may be another one.
 */
const workersOfOtherPages = new Set();

/** The first file of a page's worker. */
async function workerFile({ clientId, resultingClientId, request }, address) {
  const own = await self.clients.matchAll();
  if (own.some(({ id }) => id === clientId)) {
    return buildFile(address, request);
  }
  workersOfOtherPages.add(resultingClientId);
  return fetch(request);
}

async function newestManifest(event) {
  const { request } = event;
  try {
    const response = await fetch(request);
    if (response.ok) {
      const copy = response.clone();
      const put = caches.open(CACHE).then((cache) => cache.put(request.url, copy));
      // On a full disk the older copy stays.
      event.waitUntil(put.catch(() => {}));
    }
    return response;
  } catch {
    return (await fromCache(request.url)) ?? Response.error();
  }
}

self.addEventListener("install", (event) => event.waitUntil(install()));

self.addEventListener("activate", (event) => event.waitUntil(activate()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (
    digests.size === 0 ||
    request.method !== "GET" ||
    request.headers.has("Range") ||
    workersOfOtherPages.has(event.clientId)
  ) {
    return;
  }
  const url = new URL(request.url);
  url.hash = "";
  if (request.mode === "navigate") {
    url.search = "";
    if (url.href === INDEX || url.href === addressOf("index.html")) {
      event.respondWith(buildFile(INDEX, request));
    }
  } else if (isManifest(url.href)) {
    event.respondWith(newestManifest(event));
  } else if (digests.has(url.href)) {
    const startsWorker = request.destination === "worker" && event.resultingClientId !== "";
    event.respondWith(
      startsWorker ? workerFile(event, url.href) : buildFile(url.href, request),
    );
  }
});

self.addEventListener("message", (event) => {
  switch (event.data?.type) {
    case "activate":
      event.waitUntil(self.skipWaiting());
      break;
    case "claim":
      event.waitUntil(self.clients.claim());
      break;
  }
});
