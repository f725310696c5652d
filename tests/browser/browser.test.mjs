// That the tests hear what goes wrong. A shader that fails to compile lets a run go on over old
// memory, which may even hold the right values: without these, a false pass would stay unnoticed.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, test } from "node:test";

import { Browser, closePrograms, hasAdapter } from "./browser.mjs";
import { eventually } from "./page.mjs";
import { StaticServer } from "./server.mjs";

const IN_THE_WORKER = {
  "a console error": `console.error("heard"); postMessage("done");`,
  "an exception": `postMessage("done"); throw new Error("heard");`,
  "a rejected promise": `postMessage("done"); Promise.reject(new Error("heard"));`,
  "a shader that doesn't compile": `
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter.requestDevice();
    device.createShaderModule({ code: "fn heard( {" });
    await device.queue.onSubmittedWorkDone();
    postMessage("done");`,
};

after(closePrograms);

for (const [name, code] of Object.entries(IN_THE_WORKER)) {
  test(`${name} in a worker is a problem`, { timeout: 60_000 }, async () => {
    const server = await StaticServer.start(fileURLToPath(new URL(".", import.meta.url)));
    const browser = await Browser.shared();
    try {
      const page = await browser.newPage();
      // Any address of the server will do: WebGPU wants a secure context.
      await page.goto(`${server.url}package.json`);
      assert.ok(await hasAdapter(page), "Chromium has to hand out its software adapter");
      await page.evaluate(
        (code) =>
          new Promise((resolve) => {
            const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
            new Worker(address, { type: "module" }).onmessage = resolve;
          }),
        code,
      );
      // The message about the worker takes another way than the one from it.
      await eventually(() => assert.throws(() => browser.assertNoProblems(), /heard/));
    } finally {
      await browser.close();
      await server.close();
    }
  });
}
