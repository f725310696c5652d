// Links to share: complete, verifiable, and harmless whatever they hold.

import assert from "node:assert/strict";
import { test } from "node:test";

import { QUICK } from "./page.mjs";
import { withPage } from "./with_page.mjs";

const TIMEOUT = 10 * 60_000;
const RECIPE = { ...QUICK, modes: "distilled,hybrid", "distilled-steps": 3, k: 2 };

let found;

/** Draws the recipe in a browser of its own, once, and copies the link: its hash, and the first image. */
async function copied() {
  if (found !== undefined) {
    return found;
  }
  await withPage({ parameters: RECIPE }, async ({ page }) => {
    await page.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.pressGenerate();
    await page.waitForDone(["cell-distilled-0", "cell-hybrid-0"], TIMEOUT);
    await page.control("copy-link").click();
    const status = page.control("link-status");
    await status.getByText(/Link copied/).waitFor({ timeout: 30_000 });
    const link = await page.page.evaluate(() => navigator.clipboard.readText());
    found = { hash: new URL(link).hash, image: await page.image("distilled", 0) };

    await page.control("seed").fill("5");
    await status.getByText(/settings have changed/).waitFor({ timeout: 30_000 });
  });
  return found;
}

/** Goes to a hash without drawing anything. */
async function follow(page, hash) {
  const address = page.page.url().split("#")[0];
  await page.page.goto("about:blank");
  await page.page.goto(address + hash);
  await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: 60_000 });
}

test("a copied link gives another browser the same grid, and says so", { timeout: TIMEOUT }, async (t) => {
  const { hash, image } = await copied();
  t.diagnostic(`${hash.length} characters: ${hash}`);
  assert.match(hash, /^#v=1&/);
  assert.match(hash, /&digest=[\w-]+&sum=[0-9a-f]{8}$/);
  // The link leaves the choice of device to who follows it.
  const own = { device: "cpu" };
  await withPage({ parameters: own, isFirstVisit: true }, async ({ page, server }) => {
    await follow(page, `${hash}`);
    assert.equal(await page.control("prompt").inputValue(), RECIPE.prompt);
    assert.equal(await page.control("k").inputValue(), "2");
    assert.equal(await page.control("distilled-steps").inputValue(), "3");
    await page.page.waitForTimeout(1_000);
    assert.equal(await page.page.locator('[data-testid^="cell-"]').count(), 0, "nothing is drawn");
    const weights = server.requests.filter(({ path }) => /safetensors/.test(path));
    assert.deepEqual(weights, [], "nothing is downloaded");

    await page.pressGenerate();
    await page.waitForDone(["cell-distilled-0", "cell-hybrid-0"], TIMEOUT);
    assert.match(await page.control("agreement").innerText(), /agrees .* in all 3 steps/);
    assert.deepEqual((await page.image("distilled", 0)).rgba, image.rgba);
  });
});

test("a link from another machine is told from the step where it differs", { timeout: TIMEOUT }, async () => {
  const { hash } = await copied();
  // The same recipe with other digests, as another machine would send; without a checksum, as a
  // link is that somebody has changed by hand.
  const digest = Buffer.from(/digest=([\w-]+)/.exec(hash)[1], "base64url");
  digest[4] ^= 0x40;
  const other = hash
    .replace(/digest=[\w-]+/, `digest=${digest.toString("base64url")}`)
    .replace(/&sum=.*/, "");
  await withPage({ parameters: { device: "cpu" } }, async ({ page }) => {
    await follow(page, other);
    await page.pressGenerate();
    await page.waitForDone(["cell-distilled-0"], TIMEOUT);
    assert.match(await page.control("agreement").innerText(), /differs .* from step 2 of 3 on/);
  });
});

test("a damaged, newer or boundless link is a sentence on a page that works", { timeout: TIMEOUT }, async () => {
  const { hash } = await copied();
  const damaged = hash.replace("seed=1", "seed=7");
  assert.notEqual(damaged, hash);
  const cases = [
    [damaged, /damaged|changed/],
    ["#v=9&prompt=x", /newer|version/],
    [hash.replace("seed-count=1", "seed-count=99").replace(/&sum=.*/, ""), /seed-count/],
    ["#v=1&modes=base,distilled,hybrid,skip&prompt=a&prompt-2=b&prompt-3=c", /12 rows/],
    ["#prompt=%FF%FE&seed=0", /prompt/],
    ["#pair=https://example.org/manifest.json", /pair/],
    [`#prompt=${"x".repeat(300_000)}`, /more than any recipe takes/],
  ];
  await withPage({ parameters: QUICK }, async ({ page }) => {
    for (const [bad, sentence] of cases) {
      await follow(page, bad);
      await page.waitForStatus([sentence], 30_000);
      assert.equal(await page.control("generate").isEnabled(), true);
    }
  });
});
