// Prints what drawing takes of the GPU, event by event, as JSON lines: numbers that don't depend on how
// fast the machine is.
//
// Usage: tools/setup/with-dawn node tests/dawn/counts.mjs [parameter=value …]
//
// Parameters are those of a link, such as modes=base,hybrid or base-steps=3, or pair=pairs/emoji/lcm.json;
// DIST names the folder with the built page.

import { Engine } from "./engine.mjs";

const usual = { "seed-count": "1", modes: "distilled", "distilled-steps": "2" };
const given = Object.fromEntries(process.argv.slice(2).map((word) => word.split(/=(.*)/s, 2)));
const { modes, pair, ...parameters } = { ...usual, ...given };

const engine = await Engine.start({ pair });
try {
  await engine.draw({ ...parameters, modes: modes.split(",") }, ({ name, value, counts }) => {
    // A worker posts many of these while it asks nothing of the GPU.
    if (name !== "Loading") {
      const { model, step, cell } = value ?? {};
      console.log(JSON.stringify({ event: name, cell, model, step, ...counts }));
    }
  });
  engine.assertNoProblems();
} finally {
  await engine.close();
}
