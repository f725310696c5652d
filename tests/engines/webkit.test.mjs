// The page in WebKitGTK, through its own WebDriver.

import { test } from "node:test";

import { withWebKit } from "./browsers.mjs";
import { TIMEOUT, smoke } from "./smoke.mjs";

// The set-up script says so too.
const skip = process.env.WEBKIT_DRIVER === "" && "WebKitGTK runs on Linux alone";

test("the page works in WebKitGTK", { timeout: 2 * TIMEOUT, skip }, (t) => smoke(t, withWebKit));
