// The loader of a built page, in the process that becomes the engine's worker: both have the same store.

import { instantiate } from "./worker_scope.mjs";

/**
 * Has the loader store a network that measures pictures.
 *
 * @param {string} folder of the build
 * @param {{pageUrl: string, address: string}} network the page, and the manifest relative to it
 */
export async function loadNetwork(folder, { pageUrl, address }) {
  const loaded = new Promise((resolve, reject) => {
    globalThis.postMessage = (message) => {
      const { Ready, Stopped, Event } = message;
      if (Ready !== undefined) {
        // Once its own scope is open.
        setTimeout(() => {
          send({ Start: { page_url: pageUrl } });
          send({ Load: { address, accepts_licences: true } });
        });
      } else if (Event?.Loaded !== undefined) {
        resolve();
      } else if (Stopped !== undefined || Event?.Failed !== undefined) {
        reject(new Error((Stopped ?? Event.Failed).message));
      }
    };
  });
  await instantiate(folder, "loader");
  await loaded;
}

function send(request) {
  globalThis.onmessage({ data: request });
}
