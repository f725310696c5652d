// The message on the page until its program has started.

/** The callbacks that trunk's start script looks for. */
export default function initializer() {
  const loading = document.getElementById("loading");
  return {
    // `total` is the size of the module before the host compresses it, so the bytes aren't shown.
    onProgress({ current, total }) {
      const percent = total > 0 ? Math.min(100, Math.floor((100 * current) / total)) : 0;
      loading.textContent = `Firststep is loading… ${percent} %`;
    },
    onSuccess() {
      loading.remove();
    },
    onFailure(reason) {
      console.error(reason);
      loading.setAttribute("role", "alert");
      loading.textContent =
        "Firststep could not start. It needs a current browser (WebAssembly with SIMD) and a " +
        "connection that does not break: reload the page, or open it in another browser.";
    },
  };
}
