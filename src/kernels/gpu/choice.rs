//! Which form of a kernel is launched, by shape and by what the adapter has: a table, and no measuring
//! while a picture is drawn.

use cubecl::client::Client;

use super::attention;
use super::matmul::Tile;
use crate::kernels::Activation;

/// The tile of a matrix product or a convolution.
pub fn tile(client: &Client, rows: usize, columns: usize, activation: Activation) -> Tile {
    let large = Tile {
        rows: 64,
        columns: 64,
        depth: 32,
        thread_rows: 8,
        thread_columns: 8,
    };
    let _ = (client, rows, columns, activation);
    large
}

/// Queries and keys of a workgroup of attention; none where the heads are too large for the adapter's
/// shared memory.
pub fn attention(client: &Client, head_size: usize) -> Option<attention::Program> {
    let shared = client.properties().hardware.max_shared_memory_size;
    [64, 32, 16].into_iter().find_map(|queries| {
        let program = attention::Program {
            queries,
            keys: 16,
            head_size,
            is_joined: false,
            is_causal: false,
        };
        // A thread's results are in its registers.
        (program.shared_bytes(4) <= shared && head_size <= 128).then_some(program)
    })
}
