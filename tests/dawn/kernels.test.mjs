// Every operation of src/kernels against torch's values, in the build for the browser: on Dawn in both forms
// of the kernels and both precisions, and on the CPU with WebAssembly. The cases are those of tests/kernels.

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { counters, instantiate } from "./worker_scope.mjs";

/** The folder with the built program. */
const FOLDER = fileURLToPath(new URL("../../target/compare-kernels", import.meta.url));

// lavapipe takes seconds for each large kernel that is not in its cache.
const TIMEOUT = 30 * 60_000;

const PLACES = [
  { name: "the CPU, f32" },
  { name: "kernels in registers, f32", form: "Registers" },
  { name: "kernels in registers, f16", form: "Registers", isHalf: true },
  { name: "kernels with tiles in shared memory, f32", form: "Shared" },
  { name: "kernels with tiles in shared memory, f16", form: "Shared", isHalf: true },
];

let kernels;
before(async () => {
  const { Kernels } = await instantiate(FOLDER, "compare_kernels");
  kernels = await Kernels.start();
});

for (const { name, form, isHalf = false } of PLACES) {
  test(`${name}: as torch's values`, { timeout: TIMEOUT }, async (t) => {
    if (isHalf && !kernels.hasHalf()) {
      t.skip("the adapter has no shader-f16");
      return;
    }
    const tolerance = kernels.tolerance(isHalf);
    const failed = [];
    /** The largest error of each operation. @type {Map<string, number>} */
    const worst = new Map();
    for (const [index, label] of kernels.names().entries()) {
      counters.reset();
      const error = await kernels.error(index, form, isHalf);
      const { launches, errors } = counters.snapshot();
      const [operation] = label.split(":");
      worst.set(operation, Math.max(error, worst.get(operation) ?? 0));
      // Not a number is no small error.
      if (!(error <= tolerance)) {
        failed.push(`${label}: ${error.toExponential(1)}`);
      }
      failed.push(...errors.map((message) => `${label}: ${message}`));
      assert.equal(launches.total > 0, form !== undefined, `${label}: where it is computed`);
    }
    for (const [operation, error] of worst) {
      t.diagnostic(`${operation}: at most ${error.toExponential(1)} of ${tolerance.toExponential(0)}`);
    }
    assert.deepEqual(failed, [], `further from torch's values than ${tolerance}`);
  });
}
