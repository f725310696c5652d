// Prints the adapter that Dawn offers on this machine, as JSON, or fails with what it says instead.

import { create, globals } from "webgpu";

Object.assign(globalThis, globals);
// Dawn ends the process if its instance is collected while an object of it is alive.
const gpu = create([]);
const adapter = await gpu.requestAdapter();
if (adapter === null) {
  console.error("Dawn has no adapter: there is no Vulkan driver, or it is too old.");
  process.exit(1);
}
const { vendor, architecture, device, description } = adapter.info;
const { maxStorageBufferBindingSize, maxComputeWorkgroupStorageSize } = adapter.limits;
console.log(
  JSON.stringify({
    vendor,
    architecture,
    device,
    description,
    features: [...adapter.features].sort(),
    maxStorageBufferBindingSize,
    maxComputeWorkgroupStorageSize,
  }),
);
process.exit(0);
