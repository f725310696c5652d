//! The engine's program in the browser: trunk loads it in a dedicated Web Worker.

fn main() {
    #[cfg(target_family = "wasm")]
    firststep::engine::worker::run();
}
