// Computes the cases of tests/kernels in one form of the kernels, or without one on the CPU: the program of
// `tests/kernels/program.rs`, as a worker of its own. `kernels.test.mjs` starts it.
//
// It sends for each case `{label, isHalf, error, tolerance, problems}`: how far the result is from torch's, how
// far it may be, and what the GPU complained of.

import { fileURLToPath } from "node:url";

import { counters, instantiate } from "./worker_scope.mjs";

const FOLDER = fileURLToPath(new URL("../../target/compare-kernels", import.meta.url));

const [form] = process.argv.slice(2);
const { Kernels } = await instantiate(FOLDER, "compare_kernels");
const kernels = await Kernels.start();
const precisions = form !== undefined && kernels.hasHalf() ? [false, true] : [false];
for (const isHalf of precisions) {
  const tolerance = Kernels.tolerance(isHalf);
  for (const [index, label] of kernels.names().entries()) {
    if (kernels.has(index, form, isHalf)) {
      counters.reset();
      const error = await kernels.error(index, form, isHalf);
      const { launches, errors: problems } = counters.snapshot();
      if (launches.total > 0 !== (form !== undefined)) {
        problems.push(`it launched ${launches.total} kernels`);
      }
      process.send({ label, isHalf, error, tolerance, problems });
    }
  }
}
process.disconnect();
// Dawn's device keeps the process alive.
process.exit();
