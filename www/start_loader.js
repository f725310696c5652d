// Starts the loader's module in its worker.

import init from "./loader.js";

await init();
