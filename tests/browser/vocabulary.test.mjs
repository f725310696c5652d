// What the pair knows: suggested while one types, said where a word is unknown, and listed.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { DIST, PAIR_PATH, QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 3 * 60_000;
// What the page does by itself, on a machine that is busy with something else.
const SOON = 30_000;
const MANIFEST_PATH = `${PAIR_PATH}manifest.json`;

const manifest = JSON.parse(await readFile(join(DIST, MANIFEST_PATH), "utf8"));

const VOCABULARY = {
  groups: [
    {
      name: "animals",
      words: [["dog", "puppy", "hound"], ["cat", "kitten", "kitty"], ["elephant"]],
    },
    {
      name: "vehicles",
      words: [["bus"], ["fire engine", "fire truck"], ["flying saucer", "ufo"]],
    },
  ],
  styles: ["noto", "3d"],
  backgrounds: ["white", "orange"],
  fillers: ["a", "an", "image", "of", "and", "in", "style", "on", "background"],
};

/** Opens the page with this prompt and a pair that has this vocabulary, or none. */
async function withVocabulary(vocabulary, parameters, run) {
  const prepare = ({ server }) =>
    server.fault(MANIFEST_PATH, {
      replaceBody: Buffer.from(JSON.stringify({ ...manifest, vocabulary })),
    });
  await withPage({ parameters: { ...QUICK, ...parameters }, prepare }, async (tools) => {
    const { page } = tools.page;
    const role = vocabulary === undefined ? ":not([role])" : '[role="combobox"]';
    // The vocabulary comes with the pair, after the page.
    await page.locator(`#prompt${role}`).waitFor({ timeout: SOON });
    await page.getByTestId("seed").and(page.locator(":enabled")).waitFor({ timeout: SOON });
    await run(tools);
  });
}

/** Goes to an element with the Tab key alone. */
async function tabTo(page, selector, key = "Tab") {
  for (let presses = 0; presses < 60; presses += 1) {
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) {
      return;
    }
    await page.keyboard.press(key);
  }
  assert.fail(`${key} does not lead to ${selector}`);
}

/** What a screen reader is told of the field and its list. */
function comboboxState(page) {
  return page.evaluate(() => {
    const field = document.querySelector("#prompt");
    const list = document.getElementById(field.getAttribute("aria-controls"));
    const options = [...list.querySelectorAll('[role="option"]')];
    const active = document.getElementById(field.getAttribute("aria-activedescendant"));
    const selected = options.filter((option) => option.ariaSelected === "true");
    return {
      expanded: field.ariaExpanded,
      visible: list.checkVisibility(),
      options: options.map((option) => option.innerText.trim()),
      active: active?.innerText.trim() ?? null,
      selected: selected.map((option) => option.innerText.trim()),
    };
  });
}

const CLOSED = { expanded: "false", visible: false, options: [], active: null, selected: [] };

/** The state of an open list with these options, of which one may be active. */
function opened(options, active = null) {
  const selected = active === null ? [] : [active];
  return { expanded: "true", visible: true, options, active, selected };
}

/** Waits for the note to match; what it says otherwise is in the error. */
async function waitForNote(page, pattern) {
  const note = page.getByTestId("unknown-words");
  await note
    .filter({ hasText: pattern })
    .waitFor({ state: "attached", timeout: SOON })
    .catch(async () => assert.match(await note.innerText(), pattern));
}

test("a prompt is completed with the keyboard alone", { timeout: TIMEOUT }, async () => {
  await withVocabulary(VOCABULARY, { prompt: "" }, async ({ page: firststep }) => {
    const { page } = firststep;
    const prompt = firststep.control("prompt");
    await tabTo(page, "#prompt");
    assert.deepEqual(await comboboxState(page), CLOSED);

    await page.keyboard.type("a fire en");
    assert.deepEqual(await comboboxState(page), opened(["fire engine"]));
    await page.keyboard.press("ArrowDown");
    assert.deepEqual(await comboboxState(page), opened(["fire engine"], "fire engine"));
    await page.keyboard.press("Enter");
    assert.equal(await prompt.inputValue(), "a fire engine");
    assert.deepEqual(await comboboxState(page), CLOSED);
    assert.deepEqual(await firststep.cellStates(), {}, "to take a suggestion generates nothing");

    // The caret stands behind what was taken; past the end of the list is the field again.
    await page.keyboard.type(" in ");
    const styles = ["noto style", "3d style"];
    assert.deepEqual(await comboboxState(page), opened(styles));
    for (const [key, active] of [
      ["ArrowDown", "noto style"],
      ["ArrowDown", "3d style"],
      ["ArrowDown", null],
      ["ArrowUp", "3d style"],
      ["ArrowUp", "noto style"],
    ]) {
      await page.keyboard.press(key);
      assert.deepEqual(await comboboxState(page), opened(styles, active));
    }
    await page.keyboard.press("Enter");
    assert.equal(await prompt.inputValue(), "a fire engine in noto style");

    await page.keyboard.press("Home");
    await page.keyboard.type("kit");
    assert.deepEqual(await comboboxState(page), CLOSED, "nothing is suggested within a word");
    await page.keyboard.type("t ");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Backspace");
    assert.deepEqual(await comboboxState(page), opened(["kitten (cat)"]));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.equal(await prompt.inputValue(), "kitten a fire engine in noto style");

    await page.keyboard.press("Enter");
    await firststep.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
  });
});

test("with nothing chosen, Enter generates what was typed", { timeout: TIMEOUT }, async () => {
  await withVocabulary(VOCABULARY, { prompt: "" }, async ({ page: firststep }) => {
    const { page } = firststep;
    await tabTo(page, "#prompt");
    await page.keyboard.type("a fire");
    assert.deepEqual(await comboboxState(page), opened(["fire engine"]));
    await page.keyboard.press("Enter");
    assert.deepEqual(await comboboxState(page), CLOSED);
    await firststep.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
    assert.equal(await firststep.control("prompt").inputValue(), "a fire");
  });
});

test("Escape closes the list before it cancels a run", { timeout: TIMEOUT }, async () => {
  const long = { prompt: "", "seed-count": 8, modes: "base", "base-steps": 100 };
  await withVocabulary(VOCABULARY, long, async ({ page: firststep }) => {
    const { page } = firststep;
    await tabTo(page, "#prompt");
    await page.keyboard.type("dog");
    await page.keyboard.press("Enter");
    await page.locator('[data-state="running"]').first().waitFor({ timeout: TIMEOUT });
    await page.keyboard.type(" and a kit");
    assert.deepEqual(await comboboxState(page), opened(["kitten (cat)"]));
    await page.keyboard.press("Escape");
    assert.deepEqual(await comboboxState(page), CLOSED);
    assert.doesNotMatch(await firststep.statusText(), /cancel/i);
    await page.keyboard.press("Escape");
    await firststep.waitForStatus([/cancel/i], SOON);
    assert.equal(await firststep.control("prompt").inputValue(), "dog and a kit");
  });
});

test("a press takes a suggestion and leaves the focus where it was", { timeout: TIMEOUT }, async () => {
  await withVocabulary(VOCABULARY, { prompt: "" }, async ({ page: firststep }) => {
    const { page } = firststep;
    await tabTo(page, "#prompt");
    await page.keyboard.type("a uf");
    await page.getByRole("option", { name: "ufo (flying saucer)" }).click();
    assert.equal(await firststep.control("prompt").inputValue(), "a ufo");
    assert.deepEqual(await comboboxState(page), CLOSED);
    await page.keyboard.type(" and a d");
    assert.equal(await firststep.control("prompt").inputValue(), "a ufo and a d");
    await page.keyboard.type("o");
    assert.deepEqual(await comboboxState(page), opened(["dog"]));
    await page.keyboard.press("Tab");
    assert.deepEqual(await comboboxState(page), CLOSED, "the list goes with the focus");
  });
});

test("unknown words are named, with words that were meant", { timeout: TIMEOUT }, async () => {
  await withVocabulary(VOCABULARY, { prompt: "a red heart" }, async ({ page: firststep }) => {
    const { page } = firststep;
    const prompt = firststep.control("prompt");
    // What a link says is read as well as what is typed.
    await waitForNote(page, /^This pair never saw “red” and “heart”\. It draws what it knows/);

    await tabTo(page, "#prompt");
    await page.keyboard.press("ControlOrMeta+A");
    await page.keyboard.type("a DOG and cats, elefant");
    await waitForNote(page, /“elefant”/);
    const note = await page.getByTestId("unknown-words").innerText();
    assert.doesNotMatch(note, /dog|cats|“a”/i, "case and plural don't matter");
    assert.match(note, /Did you mean\s+elephant\s+\?/);

    await tabTo(page, ".meant .chip");
    await page.keyboard.press("Enter");
    assert.equal(await prompt.inputValue(), "a DOG and cats, elephant");
    await waitForNote(page, /^$/);
    await tabTo(page, "#prompt");

    // The word under the caret is left in peace until it is done.
    await page.keyboard.press("End");
    await page.keyboard.type(" submarine");
    assert.equal(await page.getByTestId("unknown-words").innerText(), "");
    await page.keyboard.type(" ");
    await waitForNote(page, /“submarine”/);
  });
});

test("what the pair knows can be put into the prompt", { timeout: TIMEOUT }, async () => {
  await withVocabulary(VOCABULARY, { prompt: "castle" }, async ({ page: firststep }) => {
    const { page } = firststep;
    const prompt = firststep.control("prompt");
    await waitForNote(page, /“castle”/);
    await tabTo(page, ".unknown-words .inline");
    await page.keyboard.press("Enter");

    // The list is open and has the focus.
    await tabTo(page, ".known-words > summary");
    const known = firststep.control("known-words");
    await known.getByRole("list", { name: "Styles" }).waitFor({ timeout: SOON });
    assert.deepEqual(
      (await known.locator("summary").allInnerTexts()).slice(1).map((text) => text.toLowerCase()),
      ["animals 3", "vehicles 3"],
    );
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await known.getByRole("list", { name: "vehicles" }).waitFor({ timeout: SOON });
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    assert.equal(await prompt.inputValue(), "fire engine");
    await waitForNote(page, /^$/);

    for (const [label, name] of [
      ["Backgrounds", "orange"],
      ["Styles", "3d"],
      ["Styles", "noto"],
    ]) {
      await known.getByRole("list", { name: label }).getByRole("button", { name }).press("Enter");
    }
    assert.deepEqual(
      await known.locator("[aria-current=true]").allInnerTexts(),
      ["fire engine", "noto", "orange"],
      "what the prompt says is marked",
    );
    assert.equal(
      await prompt.inputValue(),
      "fire engine in noto style on an orange background",
    );
  });
});

test("a pair without a vocabulary has a field like any other", { timeout: TIMEOUT }, async () => {
  await withVocabulary(undefined, { prompt: "" }, async ({ page: firststep }) => {
    const { page } = firststep;
    await tabTo(page, "#prompt");
    await page.keyboard.type("a fire en submarine ");
    assert.equal(await firststep.control("suggestions").locator("li").count(), 0);
    assert.equal(await page.getByTestId("unknown-words").innerText(), "");
    assert.equal(await page.getByTestId("known-words").count(), 0);
    for (const attribute of ["aria-expanded", "aria-controls", "aria-autocomplete"]) {
      assert.equal(await firststep.control("prompt").getAttribute(attribute), null);
    }
  });
});

test("a vocabulary that the page can't show is a sentence", { timeout: TIMEOUT }, async () => {
  const prepare = ({ server }) =>
    server.fault(MANIFEST_PATH, {
      replaceBody: Buffer.from(
        JSON.stringify({ ...manifest, vocabulary: { groups: [{ name: "a", words: [[]] }] } }),
      ),
    });
  await withPage({ parameters: QUICK, prepare }, async ({ page: firststep }) => {
    await firststep.waitForStatus([/manifest/, /entry without a name/], SOON);
  });
});
