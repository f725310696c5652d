//! Convolutions with fewer multiplications, after Winograd: 2 × 2 pixels of the output at a time take 16
//! products instead of 36, and of a doubled map 9, since half of what is summed there is twice the same.

use wide::f32x4;

use super::product::{Packed, Piece, multiply};

/// Tiles whose values are transformed before they are multiplied.
const TILES: usize = 32;

/// Tiles below which the transformed weights, which are twice as many, cost more than they save.
const LEAST_TILES: usize = 16;

/// Four channels of the 4 × 4 values of a tile.
type Square = [[f32x4; 4]; 4];

/// A weight's value for each of the 16 products, in the order of rows.
pub struct Transformed(Vec<Packed>);

impl Transformed {
    /// # Shapes
    /// - values: `[outputs, 9 · channels]`
    pub fn new(values: &[f32], outputs: usize, channels: usize) -> Self {
        let mut parts: [_; 16] = std::array::from_fn(|_| Vec::with_capacity(outputs * channels));
        for row in values.chunks_exact((9 * channels).max(1)) {
            for channel in 0..channels {
                let kernel: [[f32; 3]; 3] = std::array::from_fn(|y| {
                    std::array::from_fn(|x| row[(3 * y + x) * channels + channel])
                });
                let squares = kernel_transform(kernel).map(spread);
                for (part, value) in parts.iter_mut().zip(squares.as_flattened()) {
                    part.push(*value);
                }
            }
        }
        let pack = |part: Vec<f32>| Packed::new(&part, outputs, channels);
        Self(parts.into_iter().map(pack).collect())
    }
}

/// The kernel's transform along the rows' axis.
fn kernel_transform(kernel: [[f32; 3]; 3]) -> [[f32; 3]; 4] {
    let columns: [[f32; 4]; 3] =
        std::array::from_fn(|x| spread([kernel[0][x], kernel[1][x], kernel[2][x]]));
    std::array::from_fn(|y| std::array::from_fn(|x| columns[x][y]))
}

/// Three weights as four.
fn spread([a, b, c]: [f32; 3]) -> [f32; 4] {
    [a, 0.5 * (a + b + c), 0.5 * (a - b + c), c]
}

/// The map that a convolution reads and the one that it writes.
#[derive(Clone, Copy)]
pub struct Maps {
    /// Images of both.
    pub batch: usize,
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the output: the input's, or of the doubled input as much as is wanted.
    pub output: [usize; 2],
    /// Whether the input's pixels are repeated.
    pub is_doubled: bool,
    /// Channels of the input.
    pub channels: usize,
}

impl Maps {
    /// Whether the products are enough to be worth it, for so many channels of the output.
    pub fn are_worth_it(self, outputs: usize) -> bool {
        self.tiles() >= LEAST_TILES
            && self.channels >= 16
            && outputs >= 16
            && self.channels.is_multiple_of(4)
            && outputs.is_multiple_of(4)
    }

    fn tile_counts(self) -> [usize; 2] {
        self.output.map(|size| size.div_ceil(2))
    }

    fn tiles(self) -> usize {
        self.batch * self.tile_counts().iter().product::<usize>()
    }

    /// The image of a tile and its first pixel of the output.
    fn place(self, tile: usize) -> [usize; 3] {
        let [rows, columns] = self.tile_counts();
        [
            tile / (rows * columns),
            tile / columns % rows * 2,
            tile % columns * 2,
        ]
    }

    /// The input's pixel that lies one before a position of the output along an axis; none beyond the
    /// edges.
    fn source(self, axis: usize, position: usize) -> Option<usize> {
        let position = position.checked_sub(1)?;
        if position >= self.output[axis] {
            None
        } else if self.is_doubled {
            Some(position / 2)
        } else {
            Some(position)
        }
    }

    /// Whether a product is of nothing but zeros: in a map that is doubled as a whole, the second and the
    /// third value of a tile are the same along both axes.
    fn is_zero(self, part: usize) -> bool {
        let is_whole = self.is_doubled && self.output == self.input.map(|size| 2 * size);
        is_whole && (part / 4 == 2 || part % 4 == 2)
    }
}

/// A convolution of 3 × 3 pixels with a pixel of zeros on all sides.
///
/// # Shapes
/// - input: `[batch, height, width, channels]`
/// - start: `[outputs]`
/// - output: `[batch, …maps.output, outputs]`
pub fn convolve(
    input: &[f32],
    maps: Maps,
    weight: &Transformed,
    start: &[f32],
    output: &mut [f32],
) {
    let outputs = start.len();
    let zeros = vec![0.0; maps.channels.max(outputs)];
    let mut values = vec![[0.0; 4]; 16 * TILES * maps.channels / 4];
    let mut products = vec![[0.0; 4]; 16 * TILES * outputs / 4];
    for first in (0..maps.tiles()).step_by(TILES) {
        let count = TILES.min(maps.tiles() - first);
        let values = &mut values[..16 * count * maps.channels / 4];
        let products = &mut products[..16 * count * outputs / 4];
        for tile in 0..count {
            gather(
                input,
                maps,
                first + tile,
                &zeros,
                &mut values[tile * maps.channels / 4..],
                count,
            );
        }
        let parts = values
            .chunks_exact(count * maps.channels / 4)
            .zip(products.chunks_exact_mut(count * outputs / 4))
            .zip(&weight.0);
        for (part, ((values, products), weight)) in parts.enumerate() {
            if maps.is_zero(part) {
                products.fill([0.0; 4]);
            } else {
                let rows = Piece::matrix(values.as_flattened(), maps.channels);
                multiply(
                    &[rows],
                    weight,
                    &zeros[..outputs],
                    products.as_flattened_mut(),
                );
            }
        }
        for tile in 0..count {
            scatter(
                &products[tile * outputs / 4..],
                count,
                maps,
                first + tile,
                start,
                output,
            );
        }
    }
}

/// Transforms the input of a tile. The values of a product are `count` tiles behind those of the one
/// before.
fn gather(
    input: &[f32],
    maps: Maps,
    tile: usize,
    zeros: &[f32],
    values: &mut [[f32; 4]],
    count: usize,
) {
    let channels = maps.channels;
    let [image, top, left] = maps.place(tile);
    let [height, width] = maps.input;
    let pixel = |y: usize, x: usize| {
        let row = maps.source(0, top + y)?;
        let column = maps.source(1, left + x)?;
        Some(((image * height + row) * width + column) * channels)
    };
    let pixels: [[&[[f32; 4]]; 4]; 4] = std::array::from_fn(|y| {
        std::array::from_fn(|x| {
            let values = match pixel(y, x) {
                Some(start) => &input[start..][..channels],
                None => &zeros[..channels],
            };
            values.as_chunks().0
        })
    });
    let stride = count * channels / 4;
    for index in 0..channels / 4 {
        let square: Square = pixels.map(|row| row.map(|pixel| f32x4::new(pixel[index])));
        let square = transposed(differences(transposed(differences(square))));
        for (part, value) in square.as_flattened().iter().enumerate() {
            values[part * stride + index] = value.to_array();
        }
    }
}

/// The input's transform along the rows' axis.
#[inline(always)]
fn differences([a, b, c, d]: Square) -> Square {
    [
        std::array::from_fn(|x| a[x] - c[x]),
        std::array::from_fn(|x| b[x] + c[x]),
        std::array::from_fn(|x| c[x] - b[x]),
        std::array::from_fn(|x| b[x] - d[x]),
    ]
}

#[inline(always)]
fn transposed(square: Square) -> Square {
    std::array::from_fn(|y| std::array::from_fn(|x| square[x][y]))
}

/// Transforms the products of a tile to pixels of the output.
fn scatter(
    products: &[[f32; 4]],
    count: usize,
    maps: Maps,
    tile: usize,
    start: &[f32],
    output: &mut [f32],
) {
    let outputs = start.len();
    let stride = count * outputs / 4;
    let [image, top, left] = maps.place(tile);
    let [height, width] = maps.output;
    let (start, _) = start.as_chunks::<4>();
    let (output, _) = output.as_chunks_mut::<4>();
    let first = ((image * height + top) * width + left) * outputs / 4;
    let (is_lower_inside, is_right_inside) = (top + 1 < height, left + 1 < width);
    for (index, &start) in start.iter().enumerate() {
        let square: Square = std::array::from_fn(|y| {
            std::array::from_fn(|x| f32x4::new(products[(4 * y + x) * stride + index]))
        });
        let [upper, lower] = sums(square);
        let start = f32x4::new(start);
        let [[a, b], [c, d]] =
            [upper, lower].map(|[a, b, c, d]| [a + b + c + start, b - c - d + start]);
        let mut put = |is_inside: bool, pixel: usize, value: f32x4| {
            if is_inside {
                output[first + pixel * outputs / 4 + index] = value.to_array();
            }
        };
        put(true, 0, a);
        put(is_right_inside, 1, b);
        put(is_lower_inside, width, c);
        put(is_lower_inside && is_right_inside, width + 1, d);
    }
}

/// The output's transform along the rows' axis.
#[inline(always)]
fn sums([a, b, c, d]: Square) -> [[f32x4; 4]; 2] {
    [
        std::array::from_fn(|x| a[x] + b[x] + c[x]),
        std::array::from_fn(|x| b[x] - c[x] - d[x]),
    ]
}
