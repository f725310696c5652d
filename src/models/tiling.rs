//! Decoding a picture in overlapping tiles, so that no map is larger than a device can bind.

use std::ops::Range;

use burn::tensor::{Tensor, TensorData};

use crate::kernels;

/// What `decode` makes of a map, tile by tile; where two tiles overlap, one fades into the other. `rows`
/// and `columns` are in the map's pixels, each of which covers `factor` pixels of the output.
///
/// # Shapes
/// - map: `[batch, height, width, channels]`
/// - output: `[batch, factor · height, factor · width, …]`
pub fn in_tiles(
    map: Tensor<4>,
    [rows, columns]: [&[Range<usize>]; 2],
    factor: usize,
    decode: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    if rows.len() * columns.len() == 1 {
        return decode(map);
    }
    let [batch, _, _, channels] = map.dims();
    let rows_of_pixels = rows
        .iter()
        .map(|row| {
            let parts = columns
                .iter()
                .map(|column| {
                    let tile =
                        map.clone()
                            .slice([0..batch, row.clone(), column.clone(), 0..channels]);
                    decode(kernels::contiguous(tile))
                })
                .collect();
            blend(parts, columns, 2, factor)
        })
        .collect();
    blend(rows_of_pixels, rows, 1, factor)
}

/// Puts tiles beside each other along an axis; where two overlap, one fades into the other. `ranges` are
/// in latent pixels, of which each covers `factor` pixels.
fn blend(parts: Vec<Tensor<4>>, ranges: &[Range<usize>], axis: usize, factor: usize) -> Tensor<4> {
    let mut pieces = Vec::new();
    // What of the last part is not placed yet, and where it begins.
    let mut rest: Option<(Tensor<4>, usize)> = None;
    for (part, range) in parts.into_iter().zip(ranges) {
        let begin = range.start * factor;
        let end = range.end * factor;
        let (part, own_begin) = match rest.take() {
            None => (part, begin),
            Some((last, last_begin)) => {
                let length = last.dims()[axis];
                let alone = begin - last_begin;
                let common = length - alone;
                pieces.push(last.clone().narrow(axis, 0, alone));
                let ramp: Vec<f32> = (0..common)
                    .map(|index| (index as f32 + 0.5) / common as f32)
                    .collect();
                let mut shape = [1; 4];
                shape[axis] = common;
                let ramp = Tensor::<4>::from_data(TensorData::new(ramp, shape), &part.device());
                let before = last.narrow(axis, alone, common);
                let after = part.clone().narrow(axis, 0, common);
                pieces.push(before.clone() + (after - before) * ramp);
                let placed = begin + common;
                (part.narrow(axis, common, end - placed), placed)
            }
        };
        rest = Some((part, own_begin));
    }
    pieces.extend(rest.map(|(part, _)| part));
    Tensor::cat(pieces, axis)
}
