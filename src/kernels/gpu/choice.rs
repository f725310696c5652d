//! Which form of a kernel is launched, by shape and by what the adapter has: a table, and no measuring
//! while a picture is drawn.

use std::sync::atomic::{AtomicBool, Ordering};

use super::attention::Program;
use super::matmul::Tile;
use crate::kernels::layer::Activation;

/// Whether the adapter computes on the CPU. A worker, and each native program, has one adapter.
static IS_SOFTWARE: AtomicBool = AtomicBool::new(false);

/// Says which kind of adapter the kernels run on, before the first of them does.
pub fn set_software(is_software: bool) {
    IS_SOFTWARE.store(is_software, Ordering::Relaxed);
}

/// Whether activations are kept as `f16`.
static IS_HALF: AtomicBool = AtomicBool::new(false);

/// Says whether activations are kept as `f16`, before the first model is used.
pub fn set_half(is_half: bool) {
    IS_HALF.store(is_half, Ordering::Relaxed);
}

/// Whether activations are kept as `f16`.
pub fn is_half() -> bool {
    IS_HALF.load(Ordering::Relaxed)
}

/// The two forms of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Tiles in shared memory: graphics cards.
    Shared,
    /// Everything in registers, without barriers: adapters that compute on the CPU.
    Registers,
}

/// The form for this adapter.
pub fn form() -> Form {
    if IS_SOFTWARE.load(Ordering::Relaxed) {
        Form::Registers
    } else {
        Form::Shared
    }
}

/// The tile of a matrix product or a convolution, by the bytes of shared memory that there are.
pub fn tile(shared: usize, activation: Activation) -> Tile {
    match form() {
        Form::Registers => {
            let is_gated = activation == Activation::Geglu;
            let (rows, columns) = if is_gated { (4, 8) } else { (8, 4) };
            Tile {
                rows,
                columns: super::registers::THREADS * columns,
                depth: 4,
                thread_rows: rows,
                thread_columns: columns,
            }
        }
        Form::Shared => {
            let tile = |depth| Tile {
                rows: 64,
                columns: 64,
                depth,
                thread_rows: 8,
                thread_columns: 8,
            };
            let deep = tile(32);
            if deep.shared_bytes() <= shared {
                deep
            } else {
                tile(16)
            }
        }
    }
}

/// Queries and keys of a workgroup of attention; none where the heads are too large for a thread's
/// registers or the adapter's shared memory.
pub fn attention(shared: usize, head_size: usize) -> Option<Program> {
    if head_size > 128 || !head_size.is_multiple_of(4) {
        return None;
    }
    let program = |queries| Program {
        queries,
        keys: 16,
        head_size,
        is_joined: false,
        is_causal: false,
    };
    match form() {
        Form::Registers => Some(program(super::registers::GROUP_QUERIES)),
        Form::Shared => [64, 32, 16]
            .into_iter()
            .map(program)
            .find(|program| head_size.is_multiple_of(16) && program.shared_bytes(4) <= shared),
    }
}
