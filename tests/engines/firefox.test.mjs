// The page in Firefox, through its own WebDriver.

import { test } from "node:test";

import { withFirefox } from "./browsers.mjs";
import { TIMEOUT, smoke } from "./smoke.mjs";

test("the page works in Firefox", { timeout: 2 * TIMEOUT }, (t) => smoke(t, withFirefox));
