//! Attention, some queries of one head at a time.

use super::functions::exponential;
use super::norm::sum;
use super::product::{Packed, Piece, multiply};
use crate::kernels::layer::Heads;

/// Queries whose scores are computed at once.
const QUERIES: usize = 32;

/// Columns of a matrix.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    /// `[tokens, width]`.
    pub values: &'a [f32],
    /// Columns of the whole matrix.
    pub width: usize,
    /// Where the columns begin.
    pub first: usize,
}

impl Columns<'_> {
    fn tokens(self) -> usize {
        self.values.len() / self.width.max(1)
    }
}

/// softmax(Q Kᵀ / √d) V of one image.
///
/// # Shapes
/// - output: `[queries, heads · head size]`
pub fn attend(queries: Columns, keys: Columns, values: Columns, heads: Heads, output: &mut [f32]) {
    let Heads {
        count,
        size,
        is_causal,
    } = heads;
    let length = keys.tokens();
    let scale = 1.0 / (size as f32).sqrt();
    let zeros = vec![0.0; length.max(size)];
    let mut scores = vec![0.0; QUERIES * length];
    let mut attended = vec![0.0; QUERIES * size];
    for head in 0..count {
        let column = head * size;
        let packed_keys =
            Packed::of_rows(keys.values, keys.width, keys.first + column, [length, size]);
        let packed_values = Packed::of_columns(
            values.values,
            values.width,
            values.first + column,
            [size, length],
        );
        for first in (0..queries.tokens()).step_by(QUERIES) {
            let block = QUERIES.min(queries.tokens() - first);
            let scores = &mut scores[..block * length];
            let rows = &queries.values[first * queries.width..];
            let piece = Piece::columns(rows, queries.width, queries.first + column, size);
            multiply(&[piece], &packed_keys, &zeros[..length], scores);
            for (query, scores) in scores.chunks_exact_mut(length).enumerate() {
                let seen = if is_causal { first + query + 1 } else { length };
                let (scores, unseen) = scores.split_at_mut(seen.min(length));
                softmax(scores, scale);
                unseen.fill(0.0);
            }
            let attended = &mut attended[..block * size];
            let piece = Piece::matrix(scores, length);
            multiply(&[piece], &packed_values, &zeros[..size], attended);
            let rows = output.chunks_exact_mut(count * size).skip(first);
            for (row, attended) in rows.zip(attended.chunks_exact(size)) {
                row[column..][..size].copy_from_slice(attended);
            }
        }
    }
}

/// The softmax of scores times `scale`.
fn softmax(scores: &mut [f32], scale: f32) {
    // f32::max would be a call each.
    let largest = scores.iter().fold(
        f32::NEG_INFINITY,
        |most, &score| if score > most { score } else { most },
    );
    for score in &mut *scores {
        *score = exponential((*score - largest) * scale);
    }
    let share = 1.0 / sum(scores, |value| value);
    for score in scores {
        *score *= share;
    }
}
