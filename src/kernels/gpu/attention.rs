//! Attention without a matrix of scores: the softmax is kept up while the keys go by.

use cubecl::prelude::*;

/// A score that no key has, for those that a query doesn't see.
pub const UNSEEN: f32 = -3.0e38;

/// What distinguishes one program from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// Queries of a workgroup.
    pub queries: usize,
    /// Keys that are in shared memory at once.
    pub keys: usize,
    /// Values of a head, a multiple of 16.
    pub head_size: usize,
    /// Whether keys and values are in the buffer of the queries.
    pub is_joined: bool,
    /// Whether a query sees only the keys up to its own place.
    pub is_causal: bool,
}

impl Program {
    /// Threads of a workgroup: each has four queries, and four of the keys.
    pub fn threads(self) -> usize {
        self.queries / 4 * (self.keys / 4)
    }

    /// Bytes of shared memory with values of `size` bytes.
    pub fn shared_bytes(self, size: usize) -> usize {
        let pitch = self.head_size + 4;
        (self.queries * pitch + self.keys * (pitch + self.head_size)) * size
            + self.queries * (self.keys + 4 + self.keys / 4) * 4
    }
}

/// The sizes of one launch. A row is what one token has in its buffer, and each head's values are
/// within it one after the other.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub struct Sizes {
    /// Tokens that ask.
    pub queries: u32,
    /// Tokens that are asked.
    pub keys: u32,
    /// Heads.
    pub heads: u32,
    /// Values of a row of the queries.
    pub query_row: u32,
    /// Values of a row of the keys and values.
    pub key_row: u32,
    /// The first key in its row.
    pub key_at: u32,
    /// The first value in its row.
    pub value_at: u32,
    /// What scores are multiplied by.
    pub scale: f32,
}

/// softmax(Q Kᵀ · scale) V.
///
/// # Shapes
/// - queries: `[batch, queries, query_row]`, with all heads at the beginning of a row
/// - others: `[batch, keys, key_row]`
/// - output: `[batch, queries, heads · head size]`
#[cube(launch_unchecked)]
pub fn attention<E: Float, N: Size>(
    queries: &[Vector<E, N>],
    others: ComptimeOption<Box<[Vector<E, N>]>>,
    output: &mut [Vector<E, N>],
    sizes: Sizes,
    #[comptime] program: Program,
    #[define(E)] _type: cubecl::ir::ElemType,
) {
    let thread_columns = comptime!(program.keys / 4);
    let thread_rows = comptime!(program.queries / 4);
    let threads = comptime!(program.threads());
    let head4 = comptime!(program.head_size / 4);
    // Vectors of the output that a thread has of each of its rows.
    let own4 = comptime!(program.head_size / program.keys);
    let pitch = comptime!(program.head_size / 4 + 1);
    let score_pitch = comptime!(program.keys + 4);

    let mut own_queries = Shared::<[Vector<f32, N>]>::new_slice(comptime!(
        program.queries * (program.head_size / 4 + 1)
    ));
    let mut keys = Shared::<[Vector<f32, N>]>::new_slice(comptime!(
        program.keys * (program.head_size / 4 + 1)
    ));
    let mut values =
        Shared::<[Vector<f32, N>]>::new_slice(comptime!(program.keys * (program.head_size / 4)));
    let mut weights = Shared::<[f32]>::new_slice(comptime!(program.queries * (program.keys + 4)));
    let mut shared = Shared::<[f32]>::new_slice(comptime!(program.queries * (program.keys / 4)));

    let thread = UNIT_POS as usize;
    let column = thread % thread_columns;
    let row = thread / thread_columns;
    let heads = sizes.heads as usize;
    let head = CUBE_POS_Y as usize % heads;
    let image = CUBE_POS_Y as usize / heads;
    let first = CUBE_POS_X as usize * program.queries;
    let query_count = sizes.queries as usize;
    let key_count = sizes.keys as usize;
    let query_row4 = sizes.query_row as usize / 4;
    let key_row4 = sizes.key_row as usize / 4;
    let queries_at = image * query_count * query_row4 + head * head4;
    let keys_at = image * key_count * key_row4 + sizes.key_at as usize / 4 + head * head4;
    let values_at = image * key_count * key_row4 + sizes.value_at as usize / 4 + head * head4;

    #[unroll]
    for l in 0..comptime!(program.queries * (program.head_size / 4) / program.threads()) {
        let index = thread + l * threads;
        let own = index / head4;
        let place = index % head4;
        let mut value = Vector::<f32, N>::cast_from(0.0f32);
        if first + own < query_count {
            value = Vector::<f32, N>::cast_from(
                queries[queries_at + (first + own) * query_row4 + place],
            ) * Vector::<f32, N>::cast_from(sizes.scale);
        }
        own_queries[own * pitch + place] = Vector::cast_from(value);
    }

    let mut largest = Array::<f32>::new(4usize);
    let mut total = Array::<f32>::new(4usize);
    let mut result =
        Array::<Vector<f32, N>>::new(comptime!(4 * (program.head_size / program.keys)));
    #[unroll]
    for i in 0..4usize {
        largest[i] = UNSEEN;
        total[i] = 0.0f32;
    }
    #[unroll]
    for i in 0..comptime!(4 * (program.head_size / program.keys)) {
        result[i] = Vector::cast_from(0.0f32);
    }

    let tiles = key_count.div_ceil(program.keys);
    for t in 0..tiles {
        let first_key = t * program.keys;
        #[unroll]
        for l in 0..comptime!(program.keys * (program.head_size / 4) / program.threads()) {
            let index = thread + l * threads;
            let own = index / head4;
            let place = index % head4;
            let mut key = Vector::<f32, N>::cast_from(0.0f32);
            let mut value = Vector::<f32, N>::cast_from(0.0f32);
            if first_key + own < key_count {
                let key_from = keys_at + (first_key + own) * key_row4 + place;
                let value_from = values_at + (first_key + own) * key_row4 + place;
                if comptime!(program.is_joined) {
                    key = Vector::cast_from(queries[key_from]);
                    value = Vector::cast_from(queries[value_from]);
                } else {
                    let others = others.as_ref().unwrap();
                    key = Vector::cast_from(others[key_from]);
                    value = Vector::cast_from(others[value_from]);
                }
            }
            keys[own * pitch + place] = key;
            values[own * head4 + place] = value;
        }
        sync_cube();
        let mut scores = Array::<f32>::new(16usize);
        #[unroll]
        for i in 0..16usize {
            scores[i] = 0.0f32;
        }
        for d in 0..head4 {
            let mut own = Array::<Vector<f32, N>>::new(4usize);
            #[unroll]
            for i in 0..4usize {
                own[i] = Vector::cast_from(own_queries[(row + i * thread_rows) * pitch + d]);
            }
            #[unroll]
            for j in 0..4usize {
                let key =
                    Vector::<f32, N>::cast_from(keys[(column + j * thread_columns) * pitch + d]);
                #[unroll]
                for i in 0..4usize {
                    scores[comptime!(i * 4 + j)] = scores[comptime!(i * 4 + j)] + own[i].dot(key);
                }
            }
        }
        #[unroll]
        for j in 0..4usize {
            let key = first_key + column + j * thread_columns;
            #[unroll]
            for i in 0..4usize {
                let mut is_unseen = key >= key_count;
                if comptime!(program.is_causal) {
                    is_unseen = is_unseen || key > first + row + i * thread_rows;
                }
                if is_unseen {
                    scores[comptime!(i * 4 + j)] = UNSEEN;
                }
            }
        }
        #[unroll]
        for i in 0..4usize {
            let first_two = max(scores[comptime!(i * 4)], scores[comptime!(i * 4 + 1)]);
            let last_two = max(scores[comptime!(i * 4 + 2)], scores[comptime!(i * 4 + 3)]);
            shared[(row + i * thread_rows) * thread_columns + column] = max(first_two, last_two);
        }
        sync_cube();
        #[unroll]
        for i in 0..4usize {
            let mut new = largest[i];
            #[unroll]
            for x in 0..thread_columns {
                new = max(new, shared[(row + i * thread_rows) * thread_columns + x]);
            }
            let shrink = (largest[i] - new).exp();
            largest[i] = new;
            let mut sum = 0.0f32;
            #[unroll]
            for j in 0..4usize {
                let weight = (scores[comptime!(i * 4 + j)] - new).exp();
                sum += weight;
                weights[(row + i * thread_rows) * score_pitch + column + j * thread_columns] =
                    weight;
            }
            total[i] = fma(total[i], shrink, sum);
            #[unroll]
            for x in 0..own4 {
                result[i * own4 + x] = result[i * own4 + x] * Vector::cast_from(shrink);
            }
        }
        sync_cube();
        for k in 0..comptime!(program.keys) {
            let mut weight = Array::<f32>::new(4usize);
            #[unroll]
            for i in 0..4usize {
                weight[i] = weights[(row + i * thread_rows) * score_pitch + k];
            }
            #[unroll]
            for x in 0..own4 {
                let value =
                    Vector::<f32, N>::cast_from(values[k * head4 + column + x * thread_columns]);
                #[unroll]
                for i in 0..4usize {
                    result[i * own4 + x] =
                        fma(Vector::cast_from(weight[i]), value, result[i * own4 + x]);
                }
            }
        }
        sync_cube();
    }
    // The threads of a row have a part of its sum each.
    #[unroll]
    for i in 0..4usize {
        shared[(row + i * thread_rows) * thread_columns + column] = total[i];
    }
    sync_cube();
    let output_row4 = heads * head4;
    #[unroll]
    for i in 0..4usize {
        let mut sum = 0.0f32;
        #[unroll]
        for x in 0..thread_columns {
            sum += shared[(row + i * thread_rows) * thread_columns + x];
        }
        let query = first + row + i * thread_rows;
        if query < query_count {
            let inverse = 1.0f32 / sum;
            #[unroll]
            for x in 0..own4 {
                let at = (image * query_count + query) * output_row4
                    + head * head4
                    + column
                    + x * thread_columns;
                output[at] = Vector::cast_from(result[i * own4 + x] * Vector::cast_from(inverse));
            }
        }
    }
}
