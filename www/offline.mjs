// The page without a network, and its updates: registers the service worker, looks for newer builds,
// and changes to one when the visitor wants it.
//
// The page's program and this module communicate by attributes of the document's element, and by
// events of the window that tell when an attribute has changed:
//
//   data-engine, firststep-engine   from the program: "loading", "running" or "resting"
//   data-update, firststep-update   from this module: "ready", or "elsewhere": another tab is drawing
//   firststep-take-update           from the program: the visitor wants the new build
//
// Where the browser has no service workers, as on a page that came by plain http, the module does
// nothing.

const HOUR = 60 * 60_000;
// The least time between two checks when the visitor changes between windows.
const MINUTE = 60_000;

const root = document.documentElement;
const container = navigator.serviceWorker;
// The lock of each tab that draws: all tabs have one service worker, which must not change during a
// run.
const RUN_LOCK = `firststep run ${new URL("./", location.href).pathname}`;

let isStarted = false;
let registration = null;
let checkedAt = performance.now();
let endRun = null;
// Whether the service worker of another build has taken over, so that this page has to be reloaded.
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
    // The page has loaded, so the service worker's requests don't slow it down any more.
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

/** Reloads the page after a change of builds, which another tab may make while this one loads. */
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
    // Private windows may refuse service workers; the page works without its offline copy.
    return;
  }
  registration.addEventListener("updatefound", () => watch(registration.installing));
  watch(registration.installing);
  showUpdateState();
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
      showUpdateState();
    }
  });
}

async function showUpdateState() {
  const { active, waiting } = registration;
  if (active === null) {
    return;
  }
  if (waiting !== null) {
    offer("ready");
  } else if (active.state === "activated" && container.controller === null) {
    // The page came from the network. The service worker controls it if both are of the same build.
    if (await isCached()) {
      active.postMessage({ type: "claim" });
    } else {
      offer("ready");
    }
  }
}

/** Whether the cache has all stylesheets and modules of this page. */
async function isCached() {
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
      // Another tab has activated the new build already.
      location.reload();
    } else {
      waiting.addEventListener("statechange", () => {
        if (waiting.state === "activated") {
          location.reload();
        }
      });
      waiting.postMessage({ type: "activate" });
    }
    // The lock is held until this page is closed or reloaded.
    return new Promise(() => {});
  });
}

if (container !== undefined) {
  followController();
  window.addEventListener("firststep-engine", engineChanged);
  window.addEventListener("firststep-take-update", takeUpdate);
}
