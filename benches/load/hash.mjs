// The peer's SHA-256: hash-wasm's, compiled from C to WebAssembly, which hashes bytes as they come as
// a load has to. Its bundle lies beside this module.

import { createSHA256 } from "./hash-wasm.mjs";

export async function createHash() {
  const hash = await createSHA256();
  hash.init();
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}
