//! One stored tensor: its encoding, the quantization in blocks, and the way back to `f32`.
//!
//! # Quantized layouts
//! A weight of shape `[out, in]` or `[out, in, kernel height, kernel width]` is seen as `out` rows;
//! each row is cut into blocks of [`BLOCK`] consecutive values that share one `f16` scale, so a row
//! has to be a multiple of [`BLOCK`] long. The bytes are
//!
//! - [`Encoding::Q8`]: every value as a signed byte `q`, then every block's scale as a little-endian
//!   `f16`; a value is `q × scale`;
//! - [`Encoding::Q4`]: two values per byte, the first one in the low nibble, each stored as `q + 8`
//!   with `q` from −8 to 7, then the scales as above.
//!
//! Values first and scales last means that each part is one aligned buffer for the device.
//! All arithmetic is one plain `f32` operation per step, so that native and wasm agree to the bit.

use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// Number of consecutive values of a row that share a scale.
pub const BLOCK: usize = 32;

/// Largest magnitude of a stored 8-bit value.
const Q8_MAXIMUM: f32 = 127.0;

/// How a tensor's values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Little-endian IEEE single precision.
    F32,
    /// Little-endian IEEE half precision.
    F16,
    /// Little-endian bfloat16.
    BF16,
    /// 8 bits in blocks of [`BLOCK`], see the [module](self).
    Q8,
    /// 4 bits in blocks of [`BLOCK`], see the [module](self).
    Q4,
}

impl Encoding {
    /// Whether the encoding has blocks with scales.
    pub fn is_quantized(self) -> bool {
        matches!(self, Encoding::Q8 | Encoding::Q4)
    }

    /// Bytes of a tensor of this shape; none where the shape's product overflows, or where a
    /// quantized row is not a multiple of [`BLOCK`].
    pub fn byte_length(self, shape: &[usize]) -> Option<usize> {
        let elements = element_count(shape)?;
        match self {
            Encoding::F32 => elements.checked_mul(4),
            Encoding::F16 | Encoding::BF16 => elements.checked_mul(2),
            Encoding::Q8 | Encoding::Q4 if !can_quantize(shape) => None,
            Encoding::Q8 => elements.checked_add(elements / BLOCK * 2),
            Encoding::Q4 => (elements / 2).checked_add(elements / BLOCK * 2),
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Encoding::F32 => "f32",
            Encoding::F16 => "f16",
            Encoding::BF16 => "bf16",
            Encoding::Q8 => "q8",
            Encoding::Q4 => "q4",
        })
    }
}

/// Why a tensor can't be made or read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TensorError {
    /// The bytes don't fit the shape and encoding.
    #[error(
        "The tensor {name} of shape {shape:?} has {found} bytes, which doesn't fit its encoding \
         {encoding}: the file is damaged or was made by another program; get it again."
    )]
    Length {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its encoding.
        encoding: Encoding,
        /// Bytes that it has.
        found: usize,
    },
    /// The number of values doesn't fit the shape.
    #[error("The tensor {name} of shape {shape:?} was given {found} values.")]
    Values {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Values that were given.
        found: usize,
    },
    /// A row that can't be cut into blocks.
    #[error(
        "The tensor {name} of shape {shape:?} can't be stored as {encoding}: its rows are not a \
         multiple of {BLOCK} values long. Store it as f16."
    )]
    Blocks {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The encoding that was asked for.
        encoding: Encoding,
    },
    /// A value that is infinite, not a number, or too large for the encoding's scales.
    #[error(
        "The tensor {name} holds the value {value}, which can't be stored as {encoding}. Use f32 \
         for it, or a model file without such values."
    )]
    Range {
        /// The tensor.
        name: String,
        /// The value.
        value: f32,
        /// The encoding that was asked for.
        encoding: Encoding,
    },
}

/// A named tensor as it lies in a pack or in the browser's store.
#[derive(Clone, PartialEq)]
pub struct StoredTensor {
    /// The tensor's name in its model, for example `conv_in.weight`.
    pub name: String,
    /// How [`StoredTensor::bytes`] are to be read.
    pub encoding: Encoding,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// The values in row-major order, encoded.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for StoredTensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "StoredTensor({} {} {:?}, {} bytes)",
            self.name,
            self.encoding,
            self.shape,
            self.bytes.len()
        )
    }
}

impl StoredTensor {
    /// A tensor whose bytes fit its shape and encoding.
    ///
    /// # Errors
    /// [`TensorError::Length`].
    pub fn new(
        name: String,
        encoding: Encoding,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    ) -> Result<Self, TensorError> {
        let tensor = StoredTensor {
            name,
            encoding,
            shape,
            bytes,
        };
        tensor.check()?;
        Ok(tensor)
    }

    /// Encodes values in row-major order. `minimum_step` acts on [`Encoding::Q8`] alone: no block's
    /// scale is smaller than `minimum_step` times the tensor's root mean square.
    ///
    /// A block of small values needs no finer steps than its neighbours for the same error in a
    /// layer's output. With one step for most of a tensor, the bytes take few different values and
    /// compress well: a file can be made smaller without going down to four bits. With 0, each
    /// block uses the whole range of a byte.
    ///
    /// # Errors
    /// The values don't fit the shape, the shape's rows can't be cut into blocks, or a value is not
    /// finite or too large.
    pub fn encode(
        name: &str,
        shape: &[usize],
        values: &[f32],
        encoding: Encoding,
        minimum_step: f32,
    ) -> Result<Self, TensorError> {
        if element_count(shape) != Some(values.len()) {
            return Err(TensorError::Values {
                name: name.into(),
                shape: shape.into(),
                found: values.len(),
            });
        }
        if encoding.is_quantized() && !can_quantize(shape) {
            return Err(TensorError::Blocks {
                name: name.into(),
                shape: shape.into(),
                encoding,
            });
        }
        let limit = match encoding {
            Encoding::F32 | Encoding::BF16 => f32::MAX,
            Encoding::F16 => f16::MAX.to_f32(),
            Encoding::Q8 => f16::MAX.to_f32() * Q8_MAXIMUM,
            Encoding::Q4 => f16::MAX.to_f32() * Q4_DIVISORS.start,
        };
        if let Some(&value) = values
            .iter()
            .find(|value| !value.is_finite() || value.abs() > limit)
        {
            return Err(TensorError::Range {
                name: name.into(),
                value,
                encoding,
            });
        }
        let bytes = match encoding {
            Encoding::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Encoding::F16 => f16_bytes(values.iter().map(|&v| f16::from_f32(v))),
            Encoding::BF16 => values
                .iter()
                .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
                .collect(),
            Encoding::Q8 => quantize_q8(values, minimum_step),
            Encoding::Q4 => quantize_q4(values),
        };
        Ok(StoredTensor {
            name: name.into(),
            encoding,
            shape: shape.into(),
            bytes,
        })
    }

    /// The same tensor in another encoding, by way of `f32`; see [`StoredTensor::encode`].
    ///
    /// # Errors
    /// As [`StoredTensor::encode`] and [`StoredTensor::to_f32`].
    pub fn quantize(&self, encoding: Encoding, minimum_step: f32) -> Result<Self, TensorError> {
        if encoding == self.encoding {
            return Ok(self.clone());
        }
        let values = self.to_f32()?;
        Self::encode(&self.name, &self.shape, &values, encoding, minimum_step)
    }

    /// Number of values.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values in row-major order.
    ///
    /// # Errors
    /// [`TensorError::Length`] where the bytes don't fit the shape and encoding.
    pub fn to_f32(&self) -> Result<Vec<f32>, TensorError> {
        self.check()?;
        let bytes = self.bytes.as_slice();
        Ok(match self.encoding {
            Encoding::F32 => bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect(),
            Encoding::F16 => f16_values(bytes).collect(),
            Encoding::BF16 => bytes
                .chunks_exact(2)
                .map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
            Encoding::Q8 => {
                let (values, scales) = bytes.split_at(self.element_count());
                values
                    .chunks_exact(BLOCK)
                    .zip(f16_values(scales))
                    .flat_map(|(block, scale)| {
                        block.iter().map(move |&q| f32::from(q as i8) * scale)
                    })
                    .collect()
            }
            Encoding::Q4 => {
                let (values, scales) = bytes.split_at(self.element_count() / 2);
                values
                    .chunks_exact(BLOCK / 2)
                    .zip(f16_values(scales))
                    .flat_map(|(block, scale)| {
                        block.iter().flat_map(move |&pair| {
                            [pair & 15, pair >> 4].map(|nibble| (f32::from(nibble) - 8.0) * scale)
                        })
                    })
                    .collect()
            }
        })
    }

    /// The bytes of the quantized values and the scales of their blocks, as the [module](self)
    /// describes them; of an encoding without blocks, all bytes and no scales.
    ///
    /// # Errors
    /// As [`StoredTensor::to_f32`].
    pub fn blocks(&self) -> Result<(&[u8], Vec<f32>), TensorError> {
        self.check()?;
        let length = match self.encoding {
            Encoding::F32 | Encoding::F16 | Encoding::BF16 => self.bytes.len(),
            Encoding::Q8 => self.element_count(),
            Encoding::Q4 => self.element_count() / 2,
        };
        let (values, scales) = self.bytes.split_at(length);
        Ok((values, f16_values(scales).collect()))
    }

    /// The values of some rows (indices into the first dimension) one after the other, without
    /// those between them: what an embedding looks up. An index beyond the last row has no values.
    ///
    /// # Errors
    /// As [`StoredTensor::to_f32`].
    pub fn rows(&self, indices: &[usize]) -> Result<Vec<f32>, TensorError> {
        self.check()?;
        let count = self.shape.first().copied().unwrap_or(1);
        let indices = || indices.iter().copied().filter(|&index| index < count);
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = indices().count();
        }
        let row = self.element_count() / count.max(1);
        let part = |bytes: &[u8], length: usize| -> Vec<u8> {
            indices()
                .flat_map(|index| bytes[index * length..][..length].to_vec())
                .collect()
        };
        let bytes = match self.encoding {
            Encoding::F32 => part(&self.bytes, row * 4),
            Encoding::F16 | Encoding::BF16 => part(&self.bytes, row * 2),
            Encoding::Q8 | Encoding::Q4 => {
                let length = if self.encoding == Encoding::Q8 {
                    row
                } else {
                    row / 2
                };
                let (values, scales) = self.bytes.split_at(count * length);
                let mut bytes = part(values, length);
                bytes.extend(part(scales, row / BLOCK * 2));
                bytes
            }
        };
        Self::new(self.name.clone(), self.encoding, shape, bytes)?.to_f32()
    }

    /// Whether the bytes fit the shape and encoding, so that they can be read.
    ///
    /// # Errors
    /// [`TensorError::Length`] where they don't.
    pub fn check(&self) -> Result<(), TensorError> {
        if self.encoding.byte_length(&self.shape) == Some(self.bytes.len()) {
            Ok(())
        } else {
            Err(TensorError::Length {
                name: self.name.clone(),
                shape: self.shape.clone(),
                encoding: self.encoding,
                found: self.bytes.len(),
            })
        }
    }
}

/// Whether a tensor of this shape has rows that can be cut into blocks: at least two dimensions,
/// and all but the first a multiple of [`BLOCK`] together.
pub fn can_quantize(shape: &[usize]) -> bool {
    match shape {
        [_, row @ ..] if !row.is_empty() => {
            element_count(row).is_some_and(|length| length > 0 && length % BLOCK == 0)
        }
        _ => false,
    }
}

fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, &dimension| product.checked_mul(dimension))
}

fn f16_bytes(values: impl Iterator<Item = f16>) -> Vec<u8> {
    values.flat_map(f16::to_le_bytes).collect()
}

fn f16_values(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes
        .chunks_exact(2)
        .map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32())
}

/// The smallest `f16` that is not below a finite value of at most `f16::MAX`; rounding down would
/// clip the block's largest value.
fn f16_not_below(value: f32) -> f16 {
    let nearest = f16::from_f32(value);
    if nearest.to_f32() < value {
        f16::from_bits(nearest.to_bits() + 1)
    } else {
        nearest
    }
}

fn largest_magnitude(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, v| v.abs().max(largest))
}

/// The nearest integer of `value / scale`, ties to even; 0 for a scale of 0, which only a block of
/// zeros (or of values below half of the smallest `f16`) has.
fn quantum(value: f32, scale: f32, minimum: f32, maximum: f32) -> f32 {
    if scale == 0.0 {
        0.0
    } else {
        (value / scale).round_ties_even().clamp(minimum, maximum)
    }
}

/// Each block's scale is `largest magnitude / 127`, or the tensor's smallest step where that is
/// larger, rounded up to `f16`; values are rounded against the rounded scale, so the error is at
/// most half of it.
fn quantize_q8(values: &[f32], minimum_step: f32) -> Vec<u8> {
    let sum_of_squares: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    let root_mean_square = (sum_of_squares / values.len().max(1) as f64).sqrt() as f32;
    let smallest = (minimum_step * root_mean_square).min(f16::MAX.to_f32());
    let mut bytes = Vec::with_capacity(values.len() + values.len() / BLOCK * 2);
    let mut scales = Vec::with_capacity(values.len() / BLOCK);
    for block in values.chunks_exact(BLOCK) {
        let scale = f16_not_below((largest_magnitude(block) / Q8_MAXIMUM).max(smallest));
        let step = scale.to_f32();
        scales.push(scale);
        bytes.extend(
            block
                .iter()
                .map(|&v| quantum(v, step, -Q8_MAXIMUM, Q8_MAXIMUM) as i8 as u8),
        );
    }
    bytes.extend(f16_bytes(scales.into_iter()));
    bytes
}

/// The range of divisors that [`quantize_q4`] tries: below 8 the extreme is rounded inwards and the
/// rest is finer, above it is the other way round.
const Q4_DIVISORS: std::ops::Range<f32> = 5.0..9.25;
/// Distance of two divisors; a finer search gains under a hundredth of the error.
const Q4_DIVISOR_STEP: f32 = 0.25;

/// Each block's scale is the one with the smallest squared error among `± largest magnitude / d`
/// for `d` = 5, 5.25, … 9; of equal ones the first. The sign matters as the levels reach from −8
/// to 7.
fn quantize_q4(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() / 2 + values.len() / BLOCK * 2);
    let mut scales = Vec::with_capacity(values.len() / BLOCK);
    for block in values.chunks_exact(BLOCK) {
        let scale = best_q4_scale(block);
        let step = scale.to_f32();
        scales.push(scale);
        bytes.extend(block.chunks_exact(2).map(|pair| {
            let [low, high] = [pair[0], pair[1]].map(|v| (quantum(v, step, -8.0, 7.0) + 8.0) as u8);
            low | high << 4
        }));
    }
    bytes.extend(f16_bytes(scales.into_iter()));
    bytes
}

fn best_q4_scale(block: &[f32]) -> f16 {
    let extreme = largest_magnitude(block);
    let mut best = (f64::INFINITY, f16::ZERO);
    let mut divisor = Q4_DIVISORS.start;
    while divisor < Q4_DIVISORS.end {
        for scale in [-extreme / divisor, extreme / divisor].map(f16::from_f32) {
            let step = scale.to_f32();
            let error: f64 = block
                .iter()
                .map(|&v| f64::from(quantum(v, step, -8.0, 7.0) * step - v))
                .map(|difference| difference * difference)
                .sum();
            if error < best.0 {
                best = (error, scale);
            }
        }
        divisor += Q4_DIVISOR_STEP;
    }
    best.1
}
