// Keeps the page for visits without a network: the files of one build, all of them or none.
//
// The files of a build fit each other and no other build's. So this worker has the list of its own
// build with every file's SHA-256, is installed only once each of them lies in that build's cache,
// and answers from there alone. A newer build's worker waits until the visitor asks for it.
//
// Weights are not its business: they lie in IndexedDB, and requests for them go to the network as
// they are. The pairs' manifests come from the network, and from the cache only where that can't be
// reached.
//
// Without a list it takes over at once, deletes what is kept and removes itself. That is how trunk's
// development server gets it, whose pages change under way, and how a host can be rid of it.

// tools/setup/fill-service-worker writes both lines.
const BUILD = "";
const FILES = {};

const scope = self.registration.scope;
// The host may have other pages, with caches of their own.
const CACHE_PREFIX = `firststep ${scope} `;
const CACHE = CACHE_PREFIX + BUILD;

const addressOf = (path) => new URL(path, scope).href;
// By this name every host has it; some send whoever asks for index.html there.
const INDEX = addressOf("./");
const PAIRS = addressOf("pairs/");

/** The SHA-256 of every file of the build, by its address. */
const digests = new Map(
  Object.entries(FILES).map(([path, digest]) => [
    path === "index.html" ? INDEX : addressOf(path),
    digest,
  ]),
);

const isManifest = (address) => address.startsWith(PAIRS) && address.endsWith(".json");

/** A file as it is in this build; anything else is an error. */
async function fetchOwn(address, digest) {
  // The host is asked whether what the page has just got is still right: mostly a few bytes.
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
      // There already where this build was installed before, or nearly.
      if ((await cache.match(address)) === undefined) {
        try {
          await cache.put(address, await fetchOwn(address, digest));
        } catch (error) {
          // The engine keeps the manifests that it has read, too.
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

/** What the cache has, whatever headers the file was asked for with. */
function ofCache(address) {
  return caches.match(address, { cacheName: CACHE, ignoreVary: true });
}

/** A file of the build. Browsers drop all of a cache or nothing: then the host has to answer. */
async function kept(address, request) {
  return (await ofCache(address)) ?? fetch(request);
}

/**
 * Workers of pages that came from the network though this build is kept, by a hard reload: they are
 * asked for here all the same, and have to be of their page's build.
 */
const strangers = new Set();

/** The first file of a page's worker. */
async function workerFile({ clientId, resultingClientId, request }, address) {
  const own = await self.clients.matchAll();
  if (own.some(({ id }) => id === clientId)) {
    return kept(address, request);
  }
  strangers.add(resultingClientId);
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
    return (await ofCache(request.url)) ?? Response.error();
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
    strangers.has(event.clientId)
  ) {
    return;
  }
  const url = new URL(request.url);
  url.hash = "";
  if (request.mode === "navigate") {
    url.search = "";
    if (url.href === INDEX || url.href === addressOf("index.html")) {
      event.respondWith(kept(INDEX, request));
    }
  } else if (isManifest(url.href)) {
    event.respondWith(newestManifest(event));
  } else if (digests.has(url.href)) {
    const startsWorker = request.destination === "worker" && event.resultingClientId !== "";
    event.respondWith(
      startsWorker ? workerFile(event, url.href) : kept(url.href, request),
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
