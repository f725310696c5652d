// Every operation of src/kernels against torch's values, in the build for the browser: on Dawn in both forms
// of the kernels and both precisions, and on the CPU with WebAssembly. The cases are those of tests/kernels,
// on Dawn those that have a part of a kernel that no other has: see tools/reference/operations.py.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PROCESS = fileURLToPath(new URL("kernels_process.mjs", import.meta.url));

// lavapipe takes seconds for each large kernel that is not in its cache.
const TIMEOUT = 30 * 60_000;

const PLACES = [
  { name: "the CPU, f32" },
  { name: "kernels in registers, f32", form: "Registers" },
  { name: "kernels in registers, f16", form: "Registers", isHalf: true },
  { name: "kernels with tiles in shared memory, f32", form: "Shared" },
  { name: "kernels with tiles in shared memory, f16", form: "Shared", isHalf: true },
];

// All at once: a kernel is compiled on one core, and the forms have none in common.
const results = new Map([undefined, "Registers", "Shared"].map((form) => [form, computed(form)]));

/** What a process says of all cases in a form. */
function computed(form) {
  const child = fork(PROCESS, form === undefined ? [] : [form], {
    serialization: "advanced",
    // What is computed is little: LLVM's optimizing takes longer than it gains.
    env: { ...process.env, GALLIVM_PERF: "nopt" },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  const cases = [];
  let output = "";
  child.on("message", (message) => cases.push(message));
  child.stdout.on("data", (bytes) => (output += bytes));
  child.stderr.on("data", (bytes) => (output += bytes));
  return new Promise((resolve) => {
    child.on("close", (code, signal) => resolve({ cases, code, signal, output }));
  });
}

for (const { name, form, isHalf = false } of PLACES) {
  test(`${name}: as torch's values`, { timeout: TIMEOUT }, async (t) => {
    const { cases, code, signal, output } = await results.get(form);
    const last = cases.at(-1)?.label ?? "the start";
    assert.equal(code, 0, `the process ended (${signal ?? code}) after ${last}:\n${output}`);
    const own = cases.filter((it) => it.isHalf === isHalf);
    if (isHalf && own.length === 0) {
      t.skip("the adapter has no shader-f16");
      return;
    }
    assert.ok(own.length > 30, `${own.length} cases were computed`);
    // Not a number is no small error.
    const failed = own.filter((it) => !(it.error <= it.tolerance) || it.problems.length > 0);
    for (const operation of new Set(own.map(({ label }) => label.split(":")[0]))) {
      const errors = own.filter(({ label }) => label.startsWith(`${operation}:`));
      const worst = Math.max(...errors.map(({ error }) => error));
      t.diagnostic(`${operation}: ${errors.length} cases, at most ${worst.toExponential(1)}`);
    }
    assert.deepEqual(failed, [], "cases that are too far from torch's values, or had problems");
  });
}
