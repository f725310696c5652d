//! The arithmetic of the encodings, a block of [`BLOCK`] values at a time.
//!
//! Everything is written for vector units: loops over arrays of a fixed length without a branch in
//! them, which the compiler turns into SIMD instructions (simd128 in wasm). Each step is one plain
//! `f32` or integer operation and sums have a fixed order, so the bits are the same on every target.

use super::tensor::{BLOCK, Encoding};

/// Values that are encoded together; those of a quantized tensor share a scale.
pub(super) type Block = [f32; BLOCK];

/// The largest finite `f16`.
const F16_MAXIMUM: f32 = 65504.0;

/// The largest finite bfloat16: `f32::MAX` without the lower half of its bits.
const BF16_MAXIMUM: f32 = f32::from_bits(0x7f7f_0000);

/// Largest magnitude of a stored 8-bit value.
const Q8_MAXIMUM: f32 = 127.0;

/// All bits of an `f32` but the sign.
const MAGNITUDE: u32 = 0x7fff_ffff;

/// Added to a value of at most 2²² and taken off again, it leaves the nearest integer, ties to even:
/// at this size, an `f32` has no bits for a fraction. Its lower bits are 0, so that the sum's lowest
/// byte is that of the integer.
const ROUND: f32 = 12_582_912.0;

/// The largest magnitude that an encoding can hold.
pub(super) fn largest_value(encoding: Encoding) -> f32 {
    match encoding {
        Encoding::F32 => f32::MAX,
        Encoding::F16 => F16_MAXIMUM,
        Encoding::BF16 => BF16_MAXIMUM,
        Encoding::Q8 => F16_MAXIMUM * Q8_MAXIMUM,
        Encoding::Q4 => F16_MAXIMUM * Q4_DIVISORS.start,
    }
}

/// The bits of a value without its sign, which are ordered as the magnitudes are; those of an
/// infinity or of what is no number come after all others.
#[inline(always)]
fn magnitude(value: f32) -> i32 {
    (value.to_bits() & MAGNITUDE) as i32
}

/// The `f16` nearest to a finite value of at most [`F16_MAXIMUM`], ties to even.
#[inline(always)]
fn to_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & MAGNITUDE;
    let normal = (magnitude + 0xfff + (magnitude >> 13 & 1) >> 13).wrapping_sub(112 << 10);
    // The steps of a subnormal f16 are those of an f32 between 0.5 and 1.
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5f32.to_bits();
    let half = if magnitude < 113 << 23 {
        subnormal
    } else {
        normal
    };
    (half | bits >> 16 & 0x8000) as u16
}

/// The value of an `f16`.
#[inline(always)]
fn from_f16(half: u16) -> f32 {
    // Sign-extended: the sign is where an f32 has it. Signed comparisons are single instructions.
    let half = i32::from(half as i16);
    let magnitude = half << 13 & 0x0fff_e000;
    // A subnormal f16's bits become the fraction of 2⁻¹⁴, which is then taken off.
    let subnormal = -i32::from(magnitude < 1 << 23);
    let not_finite = -i32::from(magnitude >= 31 << 23);
    let exponent = (112 << 23) + (subnormal & 1 << 23) + (not_finite & 112 << 23);
    let surplus = f32::from_bits((subnormal & 113 << 23) as u32);
    let value = f32::from_bits((magnitude + exponent) as u32) - surplus;
    f32::from_bits(value.to_bits() | (half & i32::MIN) as u32)
}

/// The smallest `f16` that is not below a value between 0 and [`F16_MAXIMUM`]; rounding down would
/// clip the block's largest value.
fn f16_not_below(value: f32) -> u16 {
    let nearest = to_f16(value);
    nearest + u16::from(from_f16(nearest) < value)
}

/// [`BLOCK`] little-endian `f32`.
#[inline(always)]
pub(super) fn decode_f32(bytes: &[u8; BLOCK * 4]) -> Block {
    let (values, _) = bytes.as_chunks();
    std::array::from_fn(|i| f32::from_le_bytes(values[i]))
}

/// [`BLOCK`] little-endian `f16`.
#[inline(always)]
pub(super) fn decode_f16(bytes: &[u8; BLOCK * 2]) -> Block {
    let (values, _) = bytes.as_chunks();
    std::array::from_fn(|i| from_f16(u16::from_le_bytes(values[i])))
}

/// [`BLOCK`] little-endian bfloat16.
#[inline(always)]
pub(super) fn decode_bf16(bytes: &[u8; BLOCK * 2]) -> Block {
    let (values, _) = bytes.as_chunks();
    std::array::from_fn(|i| f32::from_bits(u32::from(u16::from_le_bytes(values[i])) << 16))
}

/// A block of 8-bit values and its scale.
#[inline(always)]
pub(super) fn decode_q8(values: &[u8; BLOCK], scale: [u8; 2]) -> Block {
    let scale = from_f16(u16::from_le_bytes(scale));
    values.map(|q| f32::from(q as i8) * scale)
}

/// A block of 4-bit values and its scale.
#[inline(always)]
pub(super) fn decode_q4(values: &[u8; BLOCK / 2], scale: [u8; 2]) -> Block {
    let scale = from_f16(u16::from_le_bytes(scale));
    std::array::from_fn(|i| {
        let nibble = values[i / 2] >> (i % 2 * 4) & 15;
        (f32::from(nibble) - 8.0) * scale
    })
}

/// Decodes a whole tensor: `bytes` fit the encoding and the number of values.
pub(super) fn decode(encoding: Encoding, bytes: &[u8], values: &mut [f32]) {
    match encoding {
        Encoding::F32 => decode_floats(bytes, values, decode_f32),
        Encoding::F16 => decode_floats(bytes, values, decode_f16),
        Encoding::BF16 => decode_floats(bytes, values, decode_bf16),
        Encoding::Q8 => decode_quantized(bytes, values, decode_q8),
        Encoding::Q4 => decode_quantized(bytes, values, decode_q4),
    }
}

#[inline(always)]
fn decode_floats<const LENGTH: usize>(
    bytes: &[u8],
    values: &mut [f32],
    decode: impl Fn(&[u8; LENGTH]) -> Block,
) {
    let (whole, rest) = bytes.as_chunks();
    let (blocks, last) = values.as_chunks_mut();
    for (block, bytes) in blocks.iter_mut().zip(whole) {
        *block = decode(bytes);
    }
    let mut padded = [0; LENGTH];
    padded[..rest.len()].copy_from_slice(rest);
    last.copy_from_slice(&decode(&padded)[..last.len()]);
}

#[inline(always)]
fn decode_quantized<const LENGTH: usize>(
    bytes: &[u8],
    values: &mut [f32],
    decode: impl Fn(&[u8; LENGTH], [u8; 2]) -> Block,
) {
    let (quantized, scales) = bytes.split_at(values.len() / BLOCK * LENGTH);
    let (quantized, _) = quantized.as_chunks();
    let (scales, _) = scales.as_chunks();
    let (blocks, _) = values.as_chunks_mut();
    for ((block, bytes), &scale) in blocks.iter_mut().zip(quantized).zip(scales) {
        *block = decode(bytes, scale);
    }
}

/// Writes a tensor's blocks one after the other.
pub(super) struct BlockWriter {
    encoding: Encoding,
    /// The [`magnitude`] of the encoding's [`largest_value`].
    limit: i32,
    /// The smallest scale of [`Encoding::Q8`].
    smallest_scale: f32,
    bytes: Vec<u8>,
    /// Where the next values go.
    position: usize,
    /// Where the next scale goes.
    scale_position: usize,
}

impl BlockWriter {
    /// `bytes` is as long as the whole tensor of `elements` values, which for a quantized encoding
    /// are a multiple of [`BLOCK`].
    pub fn new(encoding: Encoding, elements: usize, smallest_scale: f32, bytes: Vec<u8>) -> Self {
        BlockWriter {
            encoding,
            limit: magnitude(largest_value(encoding)),
            smallest_scale: smallest_scale.min(F16_MAXIMUM),
            bytes,
            position: 0,
            scale_position: match encoding {
                Encoding::Q4 => elements / 2,
                _ => elements,
            },
        }
    }

    /// Writes the next block.
    ///
    /// # Errors
    /// The first value that the encoding can't hold.
    #[inline(always)]
    pub fn write(&mut self, block: &Block) -> Result<(), f32> {
        let largest = block.map(magnitude).into_iter().fold(0, i32::max);
        if largest > self.limit
            && let Some(value) = self.first_too_large(block)
        {
            return Err(value);
        }
        match self.encoding {
            Encoding::F32 => self.put(block.map(f32::to_le_bytes).as_flattened()),
            Encoding::F16 => self.put(block.map(|v| to_f16(v).to_le_bytes()).as_flattened()),
            Encoding::BF16 => self.put(block.map(|v| to_bf16(v).to_le_bytes()).as_flattened()),
            Encoding::Q8 => {
                let largest = f32::from_bits(largest as u32);
                let (values, scale) = quantize_q8(block, largest, self.smallest_scale);
                self.put(&values);
                self.put_scale(scale);
            }
            Encoding::Q4 => {
                let largest = f32::from_bits(largest as u32);
                let (values, scale) = quantize_q4(block, largest);
                self.put(&values);
                self.put_scale(scale);
            }
        }
        Ok(())
    }

    /// Writes the values after the last whole block, which only a tensor that is not quantized has.
    ///
    /// # Errors
    /// The first value that the encoding can't hold.
    pub fn write_last(&mut self, values: &[f32]) -> Result<(), f32> {
        if let Some(value) = self.first_too_large(values) {
            return Err(value);
        }
        for &value in values {
            match self.encoding {
                Encoding::F32 => self.put(&value.to_le_bytes()),
                Encoding::F16 => self.put(&to_f16(value).to_le_bytes()),
                Encoding::BF16 => self.put(&to_bf16(value).to_le_bytes()),
                Encoding::Q8 | Encoding::Q4 => {}
            }
        }
        Ok(())
    }

    #[cold]
    fn first_too_large(&self, values: &[f32]) -> Option<f32> {
        values.iter().copied().find(|&value| magnitude(value) > self.limit)
    }

    /// The tensor's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    #[inline(always)]
    fn put(&mut self, encoded: &[u8]) {
        let end = self.position + encoded.len();
        self.bytes[self.position..end].copy_from_slice(encoded);
        self.position = end;
    }

    #[inline(always)]
    fn put_scale(&mut self, scale: u16) {
        let end = self.scale_position + 2;
        self.bytes[self.scale_position..end].copy_from_slice(&scale.to_le_bytes());
        self.scale_position = end;
    }
}

/// The bfloat16 nearest to a finite value of at most [`BF16_MAXIMUM`], ties to even.
#[inline(always)]
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits + 0x7fff + (bits >> 16 & 1) >> 16) as u16
}

/// A block in 8 bits, and its scale: `largest magnitude / 127`, or the tensor's smallest scale where
/// that is larger, rounded up to `f16`; values are rounded against the rounded scale, so the error
/// is at most half of it.
#[inline(always)]
fn quantize_q8(block: &Block, largest: f32, smallest_scale: f32) -> ([u8; BLOCK], u16) {
    let scale = f16_not_below((largest / Q8_MAXIMUM).max(smallest_scale));
    if scale == 0 {
        // All values are zeros, or too small for an f32's 127th part.
        return ([0; BLOCK], scale);
    }
    let step = from_f16(scale);
    // No quotient rounds to more than 127: the scale is not below the largest one's 127th part.
    let values = block.map(|value| (value / step + ROUND).to_bits() as u8);
    (values, scale)
}

/// The range of divisors that [`quantize_q4`] tries: below 8 the extreme is rounded inwards and the
/// rest is finer, above it is the other way round.
const Q4_DIVISORS: std::ops::Range<f32> = 5.0..9.25;
/// Distance of two divisors; a finer search gains under a hundredth of the error.
const Q4_DIVISOR_STEP: f32 = 0.25;

/// Each block's scale is the one with the smallest squared error among `± largest magnitude / d`
/// for `d` = 5, 5.25, … 9; of equal ones the first. The sign matters as the levels reach from −8
/// to 7.
fn quantize_q4(block: &Block, largest: f32) -> ([u8; BLOCK / 2], u16) {
    let quantum = |value: f32, step: f32| {
        if step == 0.0 {
            0.0
        } else {
            (value / step).round_ties_even().clamp(-8.0, 7.0)
        }
    };
    let mut best = (f64::INFINITY, 0);
    let mut divisor = Q4_DIVISORS.start;
    while divisor < Q4_DIVISORS.end {
        for scale in [-largest / divisor, largest / divisor].map(to_f16) {
            let step = from_f16(scale);
            let error: f64 = block
                .iter()
                .map(|&v| f64::from(quantum(v, step) * step - v))
                .map(|difference| difference * difference)
                .sum();
            if error < best.0 {
                best = (error, scale);
            }
        }
        divisor += Q4_DIVISOR_STEP;
    }
    let step = from_f16(best.1);
    let q = block.map(|value| (quantum(value, step) + 8.0) as u8);
    (
        std::array::from_fn(|i| q[2 * i] | q[2 * i + 1] << 4),
        best.1,
    )
}
