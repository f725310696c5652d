//! The product of a matrix of activations with a layer's weight, over rows that are gathered while they
//! are read: a convolution makes no matrix of its patches.

use wide::f32x4;

/// Outputs that are computed together, and whose weights lie beside each other.
const PANEL: usize = 8;

/// Rows that are computed together. With two vectors of outputs each they are eight sums at a time, which
/// is what sixteen registers hold beside the values.
const TILE: usize = 4;

/// The most pieces of a row: the taps of a convolution.
const PIECES: usize = 9;

/// Panels that are computed for a tile before the next one: its rows are looked up once for them all.
const PANELS_AT_ONCE: usize = 4;

/// A weight `[outputs, inputs]` in the order in which [`multiply`] reads it: of every eight outputs
/// the weights of the first input, then those of the second, and so on.
pub struct Packed {
    outputs: usize,
    inputs: usize,
    /// `[⌈outputs / 8⌉, inputs]`, with zeros behind the last output.
    panels: Vec<[f32; PANEL]>,
}

impl Packed {
    /// # Shapes
    /// - values: `[outputs, inputs]`
    pub fn new(values: &[f32], outputs: usize, inputs: usize) -> Self {
        Self::of_rows(values, inputs, 0, [outputs, inputs])
    }

    /// Columns of a matrix, from `column` on, such as the keys of one head of attention.
    ///
    /// # Shapes
    /// - values: `[outputs, width]`
    pub fn of_rows(
        values: &[f32],
        width: usize,
        column: usize,
        [outputs, inputs]: [usize; 2],
    ) -> Self {
        let mut panels = vec![[0.0; PANEL]; outputs.div_ceil(PANEL) * inputs];
        for output in 0..outputs {
            let panel = &mut panels[output / PANEL * inputs..][..inputs];
            let row = &values[output * width + column..][..inputs];
            for (weights, &value) in panel.iter_mut().zip(row) {
                weights[output % PANEL] = value;
            }
        }
        Self {
            outputs,
            inputs,
            panels,
        }
    }

    /// Columns of a matrix, from `column` on, of which each is an output, such as the values of one head
    /// of attention.
    ///
    /// # Shapes
    /// - values: `[inputs, width]`
    pub fn of_columns(
        values: &[f32],
        width: usize,
        column: usize,
        [outputs, inputs]: [usize; 2],
    ) -> Self {
        let mut panels = vec![[0.0; PANEL]; outputs.div_ceil(PANEL) * inputs];
        for input in 0..inputs {
            let row = &values[input * width + column..][..outputs];
            for (panel, part) in row.chunks(PANEL).enumerate() {
                panels[panel * inputs + input][..part.len()].copy_from_slice(part);
            }
        }
        Self {
            outputs,
            inputs,
            panels,
        }
    }

    /// Rows of the weight.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The values as they were before.
    ///
    /// # Shapes
    /// `[outputs, inputs]`
    pub fn unpacked(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.outputs * self.inputs);
        for output in 0..self.outputs {
            let panel = self.panel(output / PANEL);
            values.extend(panel.iter().map(|weights| weights[output % PANEL]));
        }
        values
    }

    fn panel(&self, index: usize) -> &[[f32; PANEL]] {
        &self.panels[index * self.inputs..][..self.inputs]
    }
}

/// A part of each row: so many values beside each other.
pub struct Piece<'a> {
    values: &'a [f32],
    length: usize,
    starts: Starts,
}

enum Starts {
    /// A row at `row · stride + first`.
    Every { first: usize, stride: usize },
    /// Each row by a table; none are zeros.
    Table(Vec<Option<usize>>),
}

impl<'a> Piece<'a> {
    /// Columns of a matrix: `length` of `stride`, from `first` on.
    pub fn columns(values: &'a [f32], stride: usize, first: usize, length: usize) -> Self {
        Self {
            values,
            length,
            starts: Starts::Every { first, stride },
        }
    }

    /// All columns of a matrix.
    pub fn matrix(values: &'a [f32], columns: usize) -> Self {
        Self::columns(values, columns, 0, columns)
    }

    /// So many values from where a table says for each row; where it says nothing, zeros.
    pub fn table(values: &'a [f32], length: usize, starts: Vec<Option<usize>>) -> Self {
        Self {
            values,
            length,
            starts: Starts::Table(starts),
        }
    }

    fn row(&self, row: usize) -> Option<&'a [f32]> {
        let start = match &self.starts {
            Starts::Every { first, stride } => first + row * stride,
            Starts::Table(starts) => starts[row]?,
        };
        Some(&self.values[start..][..self.length])
    }
}

/// A part of the rows of a tile, and where in the weight's panels its inputs begin.
struct TilePiece<'a, const ROWS: usize> {
    rows: [&'a [f32]; ROWS],
    input: usize,
}

/// The rows' product with a weight, each plus `start`. A row has up to [`PIECES`] pieces, one after the
/// other.
///
/// # Shapes
/// - start: `[outputs]`
/// - output: `[rows, outputs]`
pub fn multiply(pieces: &[Piece], weight: &Packed, start: &[f32], output: &mut [f32]) {
    let longest = pieces.iter().map(|piece| piece.length).max().unwrap_or(0);
    let zeros = vec![0.0; longest];
    let rows = output.len() / weight.outputs.max(1);
    let panels = weight.outputs.div_ceil(PANEL);
    let whole = rows - rows % TILE;
    let mut product = Product {
        pieces,
        weight,
        start,
        zeros: &zeros,
        output,
    };
    for first_panel in (0..panels).step_by(PANELS_AT_ONCE) {
        let end = (first_panel + PANELS_AT_ONCE).min(panels);
        for row in (0..whole).step_by(TILE) {
            product.tile::<TILE>(row, first_panel..end);
        }
        match rows - whole {
            1 => product.tile::<1>(whole, first_panel..end),
            2 => product.tile::<2>(whole, first_panel..end),
            3 => product.tile::<3>(whole, first_panel..end),
            _ => {}
        }
    }
}

struct Product<'a, 'b> {
    pieces: &'b [Piece<'a>],
    weight: &'b Packed,
    start: &'b [f32],
    zeros: &'b [f32],
    output: &'b mut [f32],
}

impl Product<'_, '_> {
    fn tile<const ROWS: usize>(&mut self, first: usize, panels: std::ops::Range<usize>) {
        let mut parts: [TilePiece<ROWS>; PIECES] = std::array::from_fn(|_| TilePiece {
            rows: [&[]; ROWS],
            input: 0,
        });
        let mut count = 0;
        let mut input = 0;
        for piece in self.pieces {
            let rows: [_; ROWS] = std::array::from_fn(|row| piece.row(first + row));
            // Beyond a map's edge there are whole tiles of zeros.
            if rows.iter().any(Option::is_some) {
                parts[count] = TilePiece {
                    rows: rows.map(|row| row.unwrap_or(&self.zeros[..piece.length])),
                    input,
                };
                count += 1;
            }
            input += piece.length;
        }
        let outputs = self.weight.outputs;
        for panel in panels {
            let column = panel * PANEL;
            let width = PANEL.min(outputs - column);
            let sums = tile_sums(
                &parts[..count],
                self.weight.panel(panel),
                padded(&self.start[column..][..width]),
            );
            for (row, sums) in sums.into_iter().enumerate() {
                let output = &mut self.output[(first + row) * outputs + column..][..width];
                match <&mut [f32; PANEL]>::try_from(&mut *output) {
                    Ok(output) => *output = sums,
                    Err(_) => output.copy_from_slice(&sums[..width]),
                }
            }
        }
    }
}

/// Up to eight values, with zeros behind them.
fn padded(values: &[f32]) -> [f32; PANEL] {
    let mut padded = [0.0; PANEL];
    padded[..values.len()].copy_from_slice(values);
    padded
}

/// The sums of a tile's rows for the outputs of one panel.
#[inline(always)]
fn tile_sums<const ROWS: usize>(
    parts: &[TilePiece<ROWS>],
    panel: &[[f32; PANEL]],
    start: [f32; PANEL],
) -> [[f32; PANEL]; ROWS] {
    let mut sums = [vectors(&start); ROWS];
    for part in parts {
        let length = part.rows[0].len();
        let panel = &panel[part.input..][..length];
        let rows = part.rows.map(|row| &row[..length]);
        let (weights, last_weights) = panel.as_chunks::<4>();
        let whole = rows.map(|row| row.as_chunks::<4>().0);
        for index in 0..weights.len() {
            for step in 0..4 {
                add(
                    &mut sums,
                    &weights[index][step],
                    whole.map(|row| row[index][step]),
                );
            }
        }
        let behind = length - last_weights.len();
        for (index, weights) in last_weights.iter().enumerate() {
            add(&mut sums, weights, rows.map(|row| row[behind + index]));
        }
    }
    sums.map(|[low, high]| {
        let mut values = [0.0; PANEL];
        values[..4].copy_from_slice(&low.to_array());
        values[4..].copy_from_slice(&high.to_array());
        values
    })
}

/// Adds each row's value times the weights.
#[inline(always)]
fn add<const ROWS: usize>(
    sums: &mut [[f32x4; 2]; ROWS],
    weights: &[f32; PANEL],
    values: [f32; ROWS],
) {
    let [low, high] = vectors(weights);
    for (sums, value) in sums.iter_mut().zip(values) {
        let value = f32x4::splat(value);
        sums[0] += low * value;
        sums[1] += high * value;
    }
}

#[inline(always)]
fn vectors(values: &[f32; PANEL]) -> [f32x4; 2] {
    let [a, b, c, d, e, f, g, h] = *values;
    [f32x4::new([a, b, c, d]), f32x4::new([e, f, g, h])]
}
