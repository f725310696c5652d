// What axe-core finds of the whole page, in both colour schemes and in a narrow window, with a grid,
// a strip and the panes open; and that every control has a name and can be reached by the keyboard.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { QUICK, cellNames } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 10 * 60_000;
const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Violations that keep somebody from using the page. */
async function seriousViolations(page) {
  const { violations } = await page.page.evaluate(() => window.axe.run(document));
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}

test("axe-core finds nothing serious", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, modes: "distilled,hybrid", "seed-count": 2, stats: "" };
  // A strip that plays moves the tab key's stop from frame to frame.
  const prepare = ({ page }) => page.page.emulateMedia({ reducedMotion: "reduce" });
  await withPage({ parameters, prepare }, async ({ page }) => {
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: 60_000 });
    await page.page.addScriptTag({ path: AXE });
    const looks = [
      { width: 1440, height: 900, colorScheme: "light" },
      { width: 1440, height: 900, colorScheme: "dark" },
      { width: 360, height: 740, colorScheme: "light" },
      { width: 360, height: 740, colorScheme: "dark" },
      // The narrowest, and a window of 640 pixels at twice the zoom.
      { width: 320, height: 640, colorScheme: "light" },
    ];
    const check = async (what) => {
      for (const { width, height, colorScheme } of looks) {
        await page.page.setViewportSize({ width, height });
        await page.page.emulateMedia({ colorScheme });
        const found = await seriousViolations(page);
        assert.deepEqual(found, [], `${what}, ${colorScheme}, ${width} pixels wide`);
        const overflow = await page.page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.ok(overflow <= 0, `${what}: ${width} pixels are too narrow by ${overflow}`);
      }
    };
    await check("the empty page");
    await page.page.setViewportSize({ width: 1440, height: 900 });
    await page.control("seed-count").fill("");
    await page.control("generate").click();
    await page.page.locator('[data-testid="seed-count"][aria-invalid="true"]').waitFor();
    await check("with a wrong field");
    await page.page.setViewportSize({ width: 1440, height: 900 });
    await page.control("seed-count").fill("2");
    await page.control("first-look").click();
    await page.page
      .locator('[data-testid="cell-hybrid-1"][data-state="resting"]')
      .waitFor({ timeout: TIMEOUT });
    await check("after a first look");
    await page.control("finish-all").click();
    await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
    await page.cell("hybrid", 0).click();
    await page.control("strip-panel").waitFor({ timeout: 30_000 });
    await page.control("figure-5").waitFor({ timeout: 30_000 });
    await check("with a strip");
    await page.page.setViewportSize({ width: 1440, height: 900 });
    await page.cell("hybrid", 0).focus();
    await page.page.keyboard.press("f");
    await page.control("history").locator("summary").click();
    await page.control("favourite").waitFor({ timeout: 30_000 });
    await page.control("history-delete").first().click();
    await page.control("history-undo").waitFor({ timeout: 30_000 });
    await check("with a favourite and a run that was deleted");
    await page.page.setViewportSize({ width: 1440, height: 900 });
    await page.cell("hybrid", 0).focus();
    await page.page.keyboard.press("c");
    await page.control("compare").waitFor({ state: "visible" });
    await check("with panes side by side");
  });
});

test("every control is reached by the tab key and has a name", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, modes: "distilled,hybrid", "seed-count": 2, stats: "" };
  // A strip that plays moves the tab key's stop from frame to frame.
  const prepare = ({ page }) => page.page.emulateMedia({ reducedMotion: "reduce" });
  await withPage({ parameters, prepare }, async ({ page }) => {
    await page.pressGenerate();
    await page.waitForDone(cellNames(["distilled", "hybrid"], 2), TIMEOUT);
    await page.cell("hybrid", 0).click();
    await page.control("figure-5").waitFor({ timeout: 30_000 });
    await page.page.evaluate(() => {
      for (const details of document.querySelectorAll("details")) {
        details.open = true;
      }
      // From the first control on: the tab key goes on from where the focus was last.
      const first = document.querySelector("button, textarea");
      first.focus();
      window.reached = [first];
    });
    for (let press = 0; press < 600; press += 1) {
      await page.page.keyboard.press("Tab");
      const at = await page.page.evaluate(() => {
        const element = document.activeElement;
        const known = window.reached.indexOf(element);
        if (element === document.body || known === 0) {
          return null;
        }
        if (known < 0) {
          window.reached.push(element);
        }
        return window.reached.length;
      });
      if (at === null) {
        break;
      }
    }
    const missed = await page.page.evaluate(() => {
      const controls = document.querySelectorAll("button, input, select, textarea, summary, a[href]");
      return [...controls]
        .filter((control) => control.checkVisibility() && !control.disabled)
        // One of a group of radio buttons is reached, arrow keys lead to the others.
        .filter((control) => control.type !== "radio" && control.tabIndex >= 0)
        .filter((control) => !window.reached.includes(control))
        .map((control) => control.outerHTML.slice(0, 120));
    });
    assert.deepEqual(missed, []);
    const session = await page.page.context().newCDPSession(page.page);
    const { nodes } = await session.send("Accessibility.getFullAXTree");
    const operated = new Set(["button", "textbox", "checkbox", "combobox", "slider", "radio", "spinbutton", "searchbox", "gridcell"]);
    const nameless = nodes.filter(
      ({ ignored, role, name }) => !ignored && operated.has(role?.value) && !name?.value,
    );
    assert.deepEqual(nameless.map(({ role, nodeId }) => `${role.value} ${nodeId}`), []);
  });
});
