//! Linker options for the modules that have models or their kernels, which can't be said in Cargo.toml.

/// The worker, and the program of `tests/dawn/kernels.test.mjs`.
const PROGRAMS: [&str; 2] = ["worker", "compare_kernels"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Whether the feature `engine` is on decides whether there is a worker to link.
    let wasm = std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm");
    if wasm && std::env::var_os("CARGO_FEATURE_ENGINE").is_some() {
        for program in PROGRAMS {
            // burn registers code in static constructors. Unless they are exported, the linker runs
            // all of them at the beginning of every call into the module, of which each step has
            // thousands. www/start_engine.js runs them, once.
            println!("cargo::rustc-link-arg-bin={program}=--export=__wasm_call_ctors");
            // Models are built by value, and SDXL's has many layers: the usual megabyte is too little.
            println!("cargo::rustc-link-arg-bin={program}=-zstack-size=8388608");
        }
    }
}
