//! `run`: draws an experiment into a folder, with the engine of the page, and measures it.
//!
//! Usage: `run <what> --out <folder> [--pair <manifest>] [--shard 1/4] [--device cpu|gpu] [--batch <n>]
//! [--latents] [--adapter <file> …] [--plan]`, or `run merge <folder> [<folder of a shard> …]`
//!
//! `<what>` is an experiment's file, a `run.json`, a saved recipe, a picture with its recipe, or a link to
//! an experiment or a grid. Its pair is looked for below `public/`, unless `--pair` says where it is.
//!
//! A run that is killed goes on where it was when it is started again. `--plan` only says what would be
//! drawn. `docs/batch.md` has more, with examples for Slurm and Ray.

#![expect(clippy::print_stderr, reason = "a program for the command line")]

#[cfg(not(target_family = "wasm"))]
mod program;

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    match program::run(std::env::args().skip(1)) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            std::process::ExitCode::FAILURE
        }
    }
}
