// What a load is compared with, in a module worker: the same bytes fetched and hashed, and the same
// records read, with nothing else done to them.
//
// The message that starts a measurement names it in `task`; the answer is { bytes, milliseconds },
// or { error }.

/** Records that are asked for ahead of the one that is looked at. */
const READ_AHEAD = 4;

async function fetchPart(url, start, end) {
  const response = await fetch(url, {
    headers: { Range: `bytes=${start}-${end - 1}` },
    cache: "no-store",
  });
  if (response.status !== 206) {
    throw new Error(`${url} answered ${response.status} to a range.`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

/**
 * Fetches a file in parts, `parallel` at a time, and hashes them in order.
 *
 * @param {object} task
 * @param {string} task.url
 * @param {number} task.size
 * @param {number} task.partSize
 * @param {number} task.parallel
 * @param {string | null} task.hash address of a module whose `createHash()` gives what has
 *   `update(bytes)` and `digest()`; null: the bytes are thrown away
 */
async function fetchAndHash({ url, size, partSize, parallel, hash: address }) {
  const hash = address === null ? null : await (await import(address)).createHash();
  const started = performance.now();
  const parts = [];
  let asked = 0;
  const ask = () => {
    if (asked < size) {
      const end = Math.min(asked + partSize, size);
      parts.push(fetchPart(url, asked, end));
      asked = end;
    }
  };
  for (let index = 0; index < parallel; index += 1) {
    ask();
  }
  let bytes = 0;
  while (parts.length > 0) {
    const part = await parts.shift();
    ask();
    bytes += part.length;
    await hash?.update(part);
  }
  const digest = await hash?.digest();
  return { bytes, milliseconds: performance.now() - started, digest };
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Bytes of the buffers in a record. */
function bufferBytes(value) {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return value.byteLength;
  }
  if (value === null || typeof value !== "object") {
    return 0;
  }
  return Object.values(value).reduce((sum, part) => sum + bufferBytes(part), 0);
}

/**
 * Reads every record of a store of IndexedDB once, by its key.
 *
 * @param {object} task
 * @param {string} task.database
 * @param {string} task.store
 */
async function readRecords({ database: name, store: storeName }) {
  const database = await settled(indexedDB.open(name));
  const store = () => database.transaction(storeName, "readonly").objectStore(storeName);
  const keys = await settled(store().getAllKeys());
  const started = performance.now();
  const reads = [];
  let asked = 0;
  const ask = (records) => {
    if (asked < keys.length) {
      reads.push(settled(records.get(keys[asked])));
      asked += 1;
    }
  };
  const records = store();
  for (let index = 0; index < READ_AHEAD; index += 1) {
    ask(records);
  }
  let bytes = 0;
  while (reads.length > 0) {
    const record = await reads.shift();
    ask(records);
    bytes += bufferBytes(record);
  }
  const milliseconds = performance.now() - started;
  database.close();
  return { bytes, milliseconds, records: keys.length };
}

const TASKS = { fetchAndHash, readRecords };

globalThis.addEventListener("message", async ({ data }) => {
  try {
    globalThis.postMessage(await TASKS[data.task](data));
  } catch (error) {
    globalThis.postMessage({ error: String(error) });
  }
});
