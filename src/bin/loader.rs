//! The loader's program in the browser: it loads pairs into the store, in a Web Worker of its own.

fn main() {
    #[cfg(target_family = "wasm")]
    firststep::loader::worker::run();
}
