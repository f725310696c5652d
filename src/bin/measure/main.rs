//! `measure`: says what pictures or features show.
//!
//! Usage: `measure <folder or results.json>`, `measure --network <manifest> <folder of a run>`, `measure fid <features.npy> <features.npy>`,
//! `measure fid --statistics <mean.npy> <covariance.npy> <mean.npy> <covariance.npy>`, or
//! `measure inception-score <probabilities.npy> [parts]`
//!
//! A folder of a run has its tables printed as Markdown; any other folder the diversity of the PNGs in it.
//! A network adds its distances, and CLIP its scores, the emoji classifier what the pictures cover.
//! Features and probabilities are those that another program has found with Inception, such as clean-fid:
//! `docs/batch.md` shows how.

#![expect(clippy::print_stderr, reason = "a program for the command line")]

#[cfg(not(target_family = "wasm"))]
mod program;

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    match program::run(std::env::args().skip(1)) {
        Ok(text) => {
            // Whoever reads it may have read enough, as `head`.
            let _ = writeln!(std::io::stdout(), "{text}");
            std::process::ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("{message}");
            std::process::ExitCode::FAILURE
        }
    }
}
