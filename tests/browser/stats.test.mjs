// #stats: what the engine measures, on the page and as a report.

import assert from "node:assert/strict";
import { test } from "node:test";

import { hasAdapter } from "./browser.mjs";
import { QUICK, cellNames, eventually } from "./page.mjs";
import { withPage } from "./with_page.mjs";

// Shaders compile on the software adapter: slow on two cores.
const TIMEOUT = 20 * 60_000;
const COUNTERS = "/gpu_counters.mjs";
const STEP = "Whole step, distilled";
const TIMES_OF_A_RUN = [
  "Reading weights",
  "Text encoding",
  "UNet pass, distilled",
  "Preview",
  "Image decode",
  STEP,
];

/** How often a phase runs for one image, where that is not once a step. */
const RUNS = {
  "Reading weights": 1,
  // The prompt, and the negative one.
  "Text encoding": 2,
  "Image decode": 1,
};

async function draw(page) {
  await page.pressGenerate();
  await page.waitForDone(cellNames(["distilled"], 1), TIMEOUT);
}

/** The table's cells by the name of their line, under their headings. */
function table(page) {
  return page.control("stats-table").evaluate((table) => {
    const texts = (row) => [...row.cells].map((cell) => cell.textContent);
    const [headings, ...rows] = [...table.rows].map(texts);
    const line = (row) => Object.fromEntries(row.map((text, index) => [headings[index], text]));
    return Object.fromEntries(rows.map((row) => [row[0], line(row)]));
  });
}

/** The report as the visitor copies it. */
async function copied(page) {
  await page.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.control("copy-stats").click();
  await page.control("stats-status").getByText(/copied/).waitFor({ timeout: 30_000 });
  return JSON.parse(await page.page.evaluate(() => navigator.clipboard.readText()));
}

function assertTimes(report, steps) {
  // There is none where all programs are compiled when the weights have been read.
  const measured = report.phases.filter(({ name }) => name !== "Preparing the graphics card");
  const phases = Object.fromEntries(measured.map((phase) => [phase.name, phase]));
  assert.deepEqual(Object.keys(phases), TIMES_OF_A_RUN);
  for (const { name, runs, milliseconds, fastestMilliseconds } of measured) {
    assert.equal(runs, RUNS[name] ?? steps, name);
    assert.equal(milliseconds.length, runs, name);
    assert.equal(Math.min(...milliseconds), fastestMilliseconds, name);
    assert.ok(fastestMilliseconds > 0, `${name} takes some time`);
  }
  const last = (name) => phases[name].milliseconds.at(-1);
  const parts = last("UNet pass, distilled") + last("Preview");
  assert.ok(Math.abs(last(STEP) - parts) < 0.1, "a step is its pass and its preview");
  return phases;
}

test("on WebGPU each phase has its time and its counts", { timeout: TIMEOUT }, async (t) => {
  const parameters = { ...QUICK, device: "webgpu", stats: "" };
  await withPage({ parameters }, async ({ page, server }) => {
    assert.ok(await hasAdapter(page.page), "Chromium has to hand out a WebGPU adapter");
    await draw(page);
    assert.ok(server.requests.some(({ path }) => path === COUNTERS));
    const report = await copied(page);
    assert.equal(report.device.kind, "WebGpu");
    assert.match(report.version, /^\d+\.\d+\.\d+/);
    assert.match(report.userAgent, /Chrom/);
    assert.deepEqual(report.errors, []);
    const { adapter } = report.device;
    assert.ok(adapter.binding >= 128 * 2 ** 20 && adapter.workgroup_storage >= 16_384);
    assert.match(report.device.forms, /matmul: registers/, "Chromium's adapter computes on the CPU");

    const phases = assertTimes(report, 2);
    t.diagnostic(JSON.stringify(phases[STEP].counts));
    const pass = phases["UNet pass, distilled"];
    assert.ok(pass.counts.launches > 100, "a UNet has more layers than that");
    assert.ok(pass.counts.submits > 0 && pass.counts.pipelines > 5);
    assert.equal(pass.gpu.launches.total, pass.counts.launches);
    const byKernel = Object.values(pass.gpu.launches.byKernel);
    assert.equal(
      byKernel.reduce((sum, count) => sum + count, 0),
      pass.counts.launches,
    );
    const { launches, bytesBound, largestBinding } = phases[STEP].counts;
    assert.equal(launches, pass.counts.launches + phases["Preview"].counts.launches);
    assert.ok(bytesBound > largestBinding && largestBinding > 0);
    const { now, peak, largest } = report.bufferBytes;
    assert.ok(peak >= now && now > largest && largest >= largestBinding, `${now}, ${peak}`);

    const line = (await table(page))[STEP];
    assert.equal(line.Runs, "2");
    assert.equal(line.Launches, String(launches));
    assert.match(line.Fastest, /^[\d.]+ (ms|s)$/);
    assert.match(line["Bytes bound"], /^[\d.]+ [kMG]B$/);

    // It stays in the address when the controls change.
    await page.control("seed").fill("5");
    await page.control("seed").blur();
    await page.page.waitForFunction(() => /seed=5.*&stats$/.test(location.hash));
  });
});

test("on the CPU there are times alone", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: { ...QUICK, stats: "" } }, async ({ page }) => {
    await draw(page);
    const report = await copied(page);
    assertTimes(report, QUICK["distilled-steps"]);
    assert.equal(report.device.kind, "Cpu");
    assert.equal(report.device.adapter, null);
    assert.equal(report.bufferBytes, null);
    assert.ok(report.phases.every((phase) => phase.counts === null && phase.gpu === undefined));
    const lines = await table(page);
    assert.deepEqual(Object.keys(lines), TIMES_OF_A_RUN);
    assert.deepEqual(Object.keys(lines[STEP]), ["Phase", "Runs", "Last", "Fastest"]);

    await page.page.setViewportSize({ width: 320, height: 640 });
    const [content, width] = await page.page.evaluate(() => [
      document.documentElement.scrollWidth,
      innerWidth,
    ]);
    assert.ok(content <= width, `${content} pixels wide in a window of ${width}`);
  });
});

test("a browser that doesn't let the page copy shows the report", { timeout: TIMEOUT }, async () => {
  const prepare = ({ page }) =>
    page.page.addInitScript(() =>
      Object.defineProperty(navigator, "clipboard", { value: undefined }),
    );
  await withPage({ parameters: { ...QUICK, stats: "" }, prepare }, async ({ page }) => {
    await draw(page);
    await page.control("copy-stats").click();
    const report = page.page.getByRole("textbox", { name: "Report" });
    assertTimes(JSON.parse(await report.inputValue()), QUICK["distilled-steps"]);
  });
});

test("who doesn't ask for it pays nothing, and who asks later gets it", { timeout: TIMEOUT }, async () => {
  await withPage({ parameters: { ...QUICK, device: "webgpu" } }, async ({ page, server }) => {
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
    assert.ok(!server.requests.some(({ path }) => path === COUNTERS));
    assert.equal(await page.control("stats").count(), 0);
    await page.page.evaluate(() => {
      location.hash += "&stats";
    });
    await page.control("stats").waitFor({ timeout: 30_000 });
    await eventually(() => assert.ok(server.requests.some(({ path }) => path === COUNTERS)));
    await page.page.locator('[data-testid="seed-count"]:enabled').waitFor({ timeout: TIMEOUT });
  });
});

test("a visitor without a network has the counts too", { timeout: TIMEOUT }, async () => {
  const parameters = { ...QUICK, device: "webgpu" };
  await withPage({ parameters, isKept: true }, async ({ page, server }) => {
    await draw(page);
    await page.waitUntilKept();
    await server.close();
    await page.open({ ...parameters, stats: "" });
    await draw(page);
    const phases = assertTimes(await copied(page), QUICK["distilled-steps"]);
    assert.ok(phases[STEP].counts.launches > 100);
  });
});
