// The kernels' forms on an adapter of which nothing is known: they are measured once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Engine } from "./engine.mjs";

// lavapipe compiles for up to a minute.
const TIMEOUT = 10 * 60_000;
const CARD = { description: "a graphics card" };
const FORMS = { Shared: "tiles in shared memory", Registers: "registers" };

/** What the engine says of forms. */
function described({ matmul, convolution, attention, norm }) {
  const forms = Object.entries({ matmul, convolution, attention, norm });
  return forms.map(([kernel, form]) => `${kernel}: ${FORMS[form]}`).join("; ");
}

/** Starts an engine and gives what it says of forms, and what it has stored. */
async function started(options) {
  const engine = await Engine.start(options);
  try {
    const choices = await engine.choices();
    engine.assertNoProblems();
    return { forms: engine.device.forms, choices };
  } finally {
    await engine.close();
  }
}

test("what was measured is stored, and used at the next start", { timeout: TIMEOUT }, async () => {
  const first = await started(CARD);
  assert.equal(first.choices.length, 1);
  const [{ key, value }] = first.choices;
  assert.equal(key, CARD.description);
  assert.equal(first.forms, described(value.choice.forms));
  assert.ok(value.choice.speed > 1e6, `${value.choice.speed} operations a second`);

  // As another card would have measured it.
  const { forms } = value.choice;
  forms.attention = forms.attention === "Shared" ? "Registers" : "Shared";
  const second = await started({ ...CARD, choices: first.choices });
  assert.equal(second.forms, described(forms), "what is stored is used");
  assert.deepEqual(second.choices, first.choices, "and stays");
});

test("what an earlier page measured is measured anew", { timeout: TIMEOUT }, async () => {
  const { choices } = await started(CARD);
  const [{ key, value }] = choices;
  const earlier = structuredClone(value);
  earlier.conditions.page = "0.0.1";
  earlier.choice.speed = 1;
  for (const stored of [earlier, "no record"]) {
    const renewed = await started({ ...CARD, choices: [{ key, value: stored }] });
    assert.deepEqual(renewed.choices[0].value.conditions, value.conditions);
    assert.ok(renewed.choices[0].value.choice.speed > 1e6);
  }
});

test("an adapter that is known to compute on the CPU is not measured", { timeout: TIMEOUT }, async () => {
  const { forms, choices } = await started({});
  const all = { matmul: "Registers", convolution: "Registers", attention: "Registers", norm: "Registers" };
  assert.equal(forms, described(all));
  assert.deepEqual(choices, []);
});
