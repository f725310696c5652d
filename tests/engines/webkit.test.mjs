// The page in WebKitGTK, through its own WebDriver.

import { test } from "node:test";

import { withWebKit } from "./browsers.mjs";
import { TIMEOUT, smoke } from "./smoke.mjs";

test("the page works in WebKitGTK", { timeout: 2 * TIMEOUT }, (t) => smoke(t, withWebKit));
