// Firefox and WebKitGTK, each with a home of its own, which ends with it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Session, eventually } from "./webdriver.mjs";

const START_TIMEOUT = 120_000;
const END_TIMEOUT = 10_000;

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A program and all that it starts; what it prints is kept for the message of a failure. */
class Program {
  #child;
  #printed = "";

  constructor(command, parameters, environment) {
    // A process group of its own, so that it ends with all its children.
    this.#child = spawn(command, parameters, { env: environment, detached: true });
    this.#child.on("error", (error) => (this.#printed += `${error.message}\n`));
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on("data", (bytes) => (this.#printed = (this.#printed + bytes).slice(-4000)));
    }
  }

  get printed() {
    return this.#printed;
  }

  async end() {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) {
      return;
    }
    const exit = once(this.#child, "exit");
    const kill = (signal) => {
      try {
        process.kill(-pid, signal);
      } catch (error) {
        if (error.code !== "ESRCH") {
          throw error;
        }
      }
    };
    kill("SIGTERM");
    const timer = setTimeout(kill, END_TIMEOUT, "SIGKILL");
    await exit;
    clearTimeout(timer);
    // Children that outlive the first one.
    kill("SIGKILL");
  }
}

/** Starts a browser, hands it to `run` with the folder of its downloads, and ends it. */
async function withBrowser(start, run) {
  const home = await mkdtemp(join(tmpdir(), "firststep-engine-"));
  const downloads = join(home, "Downloads");
  const environment = {
    ...process.env,
    HOME: home,
    XDG_CONFIG_HOME: join(home, "config"),
    XDG_CACHE_HOME: join(home, "cache"),
    XDG_DATA_HOME: join(home, "data"),
  };
  let program = null;
  let session = null;
  try {
    await mkdir(downloads);
    await mkdir(join(home, "config"));
    await writeFile(join(home, "config", "user-dirs.dirs"), `XDG_DOWNLOAD_DIR="${downloads}"\n`);
    const port = await freePort();
    const begun = await start({ home, downloads, environment, port });
    program = begun.program;
    session = await eventually("the browser starts", begun.connect, START_TIMEOUT);
    await run({ session, downloads });
  } catch (error) {
    if (program !== null && session === null) {
      throw new Error(`${error.message}. It printed: ${program.printed}`, { cause: error });
    }
    throw error;
  } finally {
    // A browser that is gone has no session to close.
    await session?.close()?.catch(() => {});
    await program?.end();
    await rm(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Firefox, whose path is in FIREFOX, without a window. */
export function withFirefox(run) {
  return withBrowser(async ({ home, downloads, environment, port }) => {
    const profile = join(home, "profile");
    await mkdir(profile);
    const preferences = {
      "marionette.port": port,
      "browser.download.folderList": 2,
      "browser.download.dir": downloads,
      "browser.download.useDownloadDir": true,
      "browser.download.alwaysOpenPanel": false,
      // Nothing that asks anything of the network.
      "app.update.auto": false,
      "browser.safebrowsing.downloads.enabled": false,
      "browser.shell.checkDefaultBrowser": false,
      "browser.startup.page": 0,
      "datareporting.policy.dataSubmissionEnabled": false,
      "network.captive-portal-service.enabled": false,
      "network.connectivity-service.enabled": false,
      "toolkit.telemetry.reportingpolicy.firstRun": false,
    };
    const lines = Object.entries(preferences).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
    );
    await writeFile(join(profile, "user.js"), lines.join(""));
    const program = new Program(
      process.env.FIREFOX,
      ["--headless", "--marionette", "--no-remote", "--profile", profile, "about:blank"],
      environment,
    );
    return { program, connect: () => Session.ofFirefox(port) };
  }, run);
}

/** WebKitGTK's small browser, through WEBKIT_DRIVER, on a screen in memory. */
export function withWebKit(run) {
  return withBrowser(async ({ environment, port }) => {
    const program = new Program(
      "xvfb-run",
      ["--auto-servernum", "--server-args=-screen 0 1600x1200x24", process.env.WEBKIT_DRIVER, `--port=${port}`],
      // Its process for the graphics card finds none here.
      { ...environment, LIBGL_ALWAYS_SOFTWARE: "1" },
    );
    const options = { "webkitgtk:browserOptions": { args: ["--automation"] } };
    return { program, connect: () => Session.ofWebKit(port, options) };
  }, run);
}
