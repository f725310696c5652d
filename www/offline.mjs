// The page without a network, and its updates: has the service worker installed, looks for newer
// builds, and changes to one when the visitor says so.
//
// The page's program and this module know of each other by attributes of the document's element,
// and by events of the window that say when they have changed:
//
//   data-engine, firststep-engine   from the program: "loading", "running" or "resting"
//   data-update, firststep-update   from here: "ready", or "elsewhere" when another tab is drawing
//   firststep-take-update           from the program: the visitor wants the new build
//
// Where the browser has no service workers, as on a page that came by plain http, nothing happens.

const HOUR = 60 * 60_000;
// Whoever changes between windows asks the host no more often than that.
const MINUTE = 60_000;

const root = document.documentElement;
const container = navigator.serviceWorker;
// Held by each tab that draws: one service worker is for all tabs, and none changes under a run.
const RUN_LOCK = `firststep run ${new URL("./", location.href).pathname}`;

let isStarted = false;
let registration = null;
let checkedAt = performance.now();
let endRun = null;
// Whether the service worker of another build has taken over, which this page has to follow.
let outdated = false;

function offer(state) {
  root.dataset.update = state;
  window.dispatchEvent(new Event("firststep-update"));
}

function reloadUnlessRunning() {
  if (root.dataset.engine !== "running") {
    location.reload();
  }
}

function engineChanged() {
  const state = root.dataset.engine;
  if (state !== "loading" && !isStarted) {
    isStarted = true;
    // Now that the page has come, the service worker's requests don't slow it down.
    start();
  }
  if (state === "running" && endRun === null) {
    const run = new Promise((resolve) => {
      endRun = resolve;
    });
    navigator.locks.request(RUN_LOCK, { mode: "shared" }, () => run);
  } else if (state !== "running") {
    endRun?.();
    endRun = null;
    if (outdated) {
      location.reload();
    }
  }
}

/** Follows a change of builds from the first moment on: another tab may make it while this one loads. */
function followController() {
  let wasControlled = container.controller !== null;
  container.addEventListener("controllerchange", () => {
    if (wasControlled) {
      outdated = true;
      reloadUnlessRunning();
    }
    wasControlled = true;
  });
}

async function start() {
  try {
    registration = await container.register("service_worker.js", { updateViaCache: "none" });
  } catch {
    // Private windows may refuse; a page that can't be kept is a page all the same.
    return;
  }
  registration.addEventListener("updatefound", () => watch(registration.installing));
  watch(registration.installing);
  takeStock();
  setInterval(check, HOUR);
  window.addEventListener("focus", () => {
    if (performance.now() - checkedAt > MINUTE) {
      check();
    }
  });
}

function check() {
  checkedAt = performance.now();
  // Without a network the next check will do.
  registration.update().catch(() => {});
}

function watch(worker) {
  worker?.addEventListener("statechange", () => {
    if (worker.state === "installed" || worker.state === "activated") {
      takeStock();
    }
  });
}

async function takeStock() {
  const { active, waiting } = registration;
  if (active === null) {
    return;
  }
  if (waiting !== null) {
    offer("ready");
  } else if (active.state === "activated" && container.controller === null) {
    // The page came from the network. It is kept from now on if it is of the build that is kept.
    if (await isKept()) {
      active.postMessage({ type: "claim" });
    } else {
      offer("ready");
    }
  }
}

/** Whether what the page is made of lies in the cache. */
async function isKept() {
  const links = [...document.querySelectorAll("link[rel=stylesheet], link[rel=modulepreload]")];
  const found = await Promise.all(links.map(({ href }) => caches.match(href)));
  return found.every((response) => response !== undefined);
}

async function takeUpdate() {
  await navigator.locks.request(RUN_LOCK, { ifAvailable: true }, (lock) => {
    if (lock === null) {
      offer("elsewhere");
      return undefined;
    }
    const { waiting } = registration;
    if (waiting === null) {
      // Another tab was faster.
      location.reload();
    } else {
      waiting.addEventListener("statechange", () => {
        if (waiting.state === "activated") {
          location.reload();
        }
      });
      waiting.postMessage({ type: "activate" });
    }
    // Held until this page is gone.
    return new Promise(() => {});
  });
}

if (container !== undefined) {
  followController();
  window.addEventListener("firststep-engine", engineChanged);
  window.addEventListener("firststep-take-update", takeUpdate);
}
