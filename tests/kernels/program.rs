//! The cases as a program for `tests/dawn/kernels.test.mjs`: the operations in the build for the browser.

#[cfg(target_family = "wasm")]
mod cases;
#[cfg(target_family = "wasm")]
mod numbers;
#[cfg(target_family = "wasm")]
mod on_dawn;

fn main() {}
