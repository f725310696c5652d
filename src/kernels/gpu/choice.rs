//! What the kernels are launched with: the forms that were chosen for the adapter, the precision, and tiles
//! by what the adapter has of shared memory. Nothing is measured while a picture is drawn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::attention::Program;
use super::matmul::Tile;
use super::submits;
use crate::kernels::forms::{AdapterClass, Choice, Form, Forms};
use crate::kernels::layer::Activation;

/// The forms of the adapter. A worker, and each native program, has one adapter.
static FORMS: Mutex<Forms> = Mutex::new(Forms::all(Form::Shared));

/// Says what is known of the adapter that the kernels run on, before the first of them does.
pub fn set_choice(choice: Choice) {
    set_forms(choice.forms);
    submits::set_speed(choice.speed);
}

/// Sets the forms of the kernels.
pub fn set_forms(forms: Forms) {
    *FORMS.lock().unwrap_or_else(PoisonError::into_inner) = forms;
}

/// The forms of the kernels.
pub fn forms() -> Forms {
    *FORMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The forms of the kernels as a text.
pub fn chosen_forms() -> String {
    forms().to_string()
}

/// Sets the table's forms for an adapter that computes on the CPU, or for a graphics card.
pub fn set_software(is_software: bool) {
    set_choice(AdapterClass::of("", is_software).choice());
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

/// The tile of a matrix product or a convolution in this form, by the bytes of shared memory that there are.
pub fn tile(form: Form, shared: usize, activation: Activation) -> Tile {
    match form {
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

/// Queries and keys of a workgroup of attention in this form; none where the heads are too large for a thread's
/// registers or the adapter's shared memory.
pub fn attention(form: Form, shared: usize, head_size: usize) -> Option<Program> {
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
    match form {
        Form::Registers => Some(program(super::registers::GROUP_QUERIES)),
        Form::Shared => [64, 32, 16]
            .into_iter()
            .map(program)
            .find(|program| head_size.is_multiple_of(16) && program.shared_bytes(4) <= shared),
    }
}
