//! The arithmetic of the encodings, in blocks of [`BLOCK`] values.
//!
//! It is written for vector units: the lanes of the crate `wide` are those of simd128 in wasm and of
//! SSE2 on a PC, and the rest are loops over arrays without a branch in them. Each step is one plain
//! `f32` or integer operation, never a fused one, and sums have a fixed order, so that the bits are
//! the same on every target.
//!
//! # The scale of a 4-bit block
//! For given 4-bit values `q` of a block `x`, the scale with the least squared error is
//! `Σqx / Σq²`, and the error is then `Σx² − (Σqx)² / Σq²`. So a scale that is tried need not be good
//! itself; only the values that it leads to have to be. The search takes the one of the four
//! [`Q4_FACTORS`] with the largest `(Σqx)² / Σq²`, and its values give the scale that fits them best.
//! That scale, rounded to `f16`, gives new values, and they give the final scale.
//!
//! The root mean square error, in per cent above the least that any scale allows (the best of a
//! thousand per sign and block), is on blocks of each kind
//!
//! | search | normal | Laplace | Student's t, 3 degrees | uniform | the emoji pair's UNet |
//! |---|---|---|---|---|---|
//! | extreme / −8 alone | 6.28 | 4.76 | 3.41 | 10.51 | 7.23 |
//! | ± extreme / 5, 5.25, … 9 | 0.51 | 0.33 | 0.22 | 0.99 | 0.54 |
//! | three factors: 7.1, 7.9, 8.5 | 0.45 | 0.24 | 0.11 | 0.96 | 0.46 |
//! | these four | 0.23 | 0.10 | 0.05 | 0.82 | 0.26 |

use std::array::from_fn;

use half::{bf16, f16};
use wide::bytemuck::cast;
use wide::{f32x4, f32x8, i8x16, i16x8, i32x4, i32x8, u8x16, u32x4, u32x8};

use super::encoding::{BLOCK, Encoding};

/// Blocks that are encoded at once: a number that each block has one of, such as its scale, is computed
/// for all of them in the lanes of one vector.
pub(super) const GROUP: usize = 4;

/// Values that are encoded together; those of a quantized tensor share a scale.
pub(super) type Block = [f32x8; BLOCK / 8];

/// Integers in place of a block's values.
type Integers = [i16x8; BLOCK / 8];

/// The largest finite `f16`.
const F16_MAXIMUM: f32 = f16::MAX.to_f32_const();

/// The smallest `f16` that is not subnormal.
const F16_NORMAL: f32 = f16::MIN_POSITIVE.to_f32_const();

/// The largest finite bfloat16.
const BF16_MAXIMUM: f32 = bf16::MAX.to_f32_const();

/// Largest magnitude of a stored 8-bit value.
const Q8_MAXIMUM: f32 = 127.0;

/// Smallest and largest 4-bit value.
const Q4_RANGE: [i16; 2] = [-8, 7];

/// Added to a 4-bit value, it gives the nibble that is stored.
const Q4_OFFSET: i16 = 8;

/// The largest magnitude that is encoded in 4 bits, as a multiple of the largest scale.
const Q4_MAXIMUM: f32 = 5.0;

/// What a block's extreme becomes when the block is turned into integers to find its scale.
const Q4_EXTREME: f32 = 2048.0;

/// The scales that are tried, as what such an integer is multiplied with to give the 4-bit value, in
/// units of 1/32768: they take the extreme to −7.1, −7.9, −8.3 and −8.7. With the first it becomes
/// −7, which both sides have; above 7.5 it becomes −8, which one side has, and the more it is
/// rounded inwards, the finer are the steps for the rest. No other four that were tried have a
/// smaller error on weights.
const Q4_FACTORS: [i16; 4] = [-114, -126, -133, -139];

/// Added to a value of at most 2²² and taken off again, it leaves the nearest integer, ties to even:
/// an `f32` of this size has no bits for a fraction. The bits of the sum, less those of this number,
/// are that integer.
const ROUND: f32 = 12_582_912.0;

/// The largest magnitude that an encoding can hold.
fn largest_value(encoding: Encoding) -> f32 {
    match encoding {
        Encoding::F32 => f32::MAX,
        Encoding::F16 => F16_MAXIMUM,
        Encoding::BF16 => BF16_MAXIMUM,
        Encoding::Q8 => F16_MAXIMUM * Q8_MAXIMUM,
        Encoding::Q4 => F16_MAXIMUM * Q4_MAXIMUM,
    }
}

/// The bits of values without their signs, which are ordered as the magnitudes are; those of an
/// infinity or of what is no number come after all others.
#[inline(always)]
fn magnitudes(values: f32x8) -> i32x8 {
    cast::<_, i32x8>(values) & i32x8::splat(i32::MAX)
}

/// [`magnitudes`] for one value.
fn magnitude(value: f32) -> i32 {
    magnitudes(f32x8::splat(value)).to_array()[0]
}

/// The `f16` nearest to finite values of at most [`F16_MAXIMUM`], ties to even.
#[inline(always)]
fn to_f16(values: f32x8) -> i16x8 {
    let magnitude = magnitudes(values);
    let odd = magnitude >> 13u32 & i32x8::splat(1);
    let normal = ((magnitude + odd + i32x8::splat(0xfff)) >> 13u32) - i32x8::splat(112 << 10);
    // The steps of a subnormal f16 are those of an f32 between 0.5 and 1.
    let half = f32x8::splat(0.5);
    let subnormal: i32x8 = cast(values.abs() + half);
    let subnormal = subnormal - cast::<_, i32x8>(half);
    let is_subnormal: i32x8 = cast(values.abs().simd_lt(f32x8::splat(F16_NORMAL)));
    let sign = cast::<_, i32x8>(values) >> 16u32 & i32x8::splat(!0x7fff);
    i16x8::from_i32x8_saturate(is_subnormal.select(subnormal, normal) | sign)
}

/// The values of `f16`.
#[inline(always)]
fn from_f16(halves: i16x8) -> f32x8 {
    // Extended by the sign, which is then where an f32 has it.
    let halves = i32x8::from_i16x8(halves);
    let magnitude = (halves << 13u32 & i32x8::splat(0x0fff_e000)) + i32x8::splat(112 << 23);
    let magnitude: f32x8 = cast(magnitude);
    // What is subnormal came out as 2⁻¹⁵ and half of its value, and what is not finite as 65536 or
    // more.
    let short = (magnitude - f32x8::splat(F16_NORMAL)).fast_min(f32x8::ZERO);
    let is_finite = magnitude.simd_lt(f32x8::splat(65536.0));
    let infinity = !is_finite & f32x8::splat(f32::INFINITY);
    let sign: f32x8 = cast(halves & i32x8::splat(i32::MIN));
    (magnitude + short) | infinity | sign
}

/// The bfloat16 nearest to a finite value of at most [`BF16_MAXIMUM`], ties to even.
#[inline(always)]
fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// [`BLOCK`] little-endian `f32`.
#[inline(always)]
pub(super) fn decode_f32(bytes: &[u8; BLOCK * 4]) -> Block {
    let (values, _) = bytes.as_chunks();
    cast::<[f32; BLOCK], _>(from_fn(|i| f32::from_le_bytes(values[i])))
}

/// [`BLOCK`] little-endian `f16`.
#[inline(always)]
pub(super) fn decode_f16(bytes: &[u8; BLOCK * 2]) -> Block {
    let (values, _) = bytes.as_chunks();
    let halves: [i16; BLOCK] = from_fn(|i| i16::from_le_bytes(values[i]));
    cast::<_, Integers>(halves).map(from_f16)
}

/// [`BLOCK`] little-endian bfloat16.
#[inline(always)]
pub(super) fn decode_bf16(bytes: &[u8; BLOCK * 2]) -> Block {
    let (values, _) = bytes.as_chunks();
    let bits: [u32; BLOCK] = from_fn(|i| u32::from(u16::from_le_bytes(values[i])) << 16);
    cast(bits)
}

/// A block of 8-bit values and its scale.
#[inline(always)]
fn decode_q8(values: &[u8; BLOCK], scale: f32) -> Block {
    cast(values.map(|q| f32::from(q as i8) * scale))
}

/// A block of 4-bit values and its scale.
#[inline(always)]
fn decode_q4(values: &[u8; BLOCK / 2], scale: f32) -> Block {
    cast::<[f32; BLOCK], _>(from_fn(|i| {
        let nibble = values[i / 2] >> (i % 2 * 4) & 15;
        f32::from(i16::from(nibble) - Q4_OFFSET) * scale
    }))
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
        *block = cast::<_, [f32; BLOCK]>(decode(bytes));
    }
    let mut padded = [0; LENGTH];
    padded[..rest.len()].copy_from_slice(rest);
    let padded: [f32; BLOCK] = cast(decode(&padded));
    last.copy_from_slice(&padded[..last.len()]);
}

#[inline(always)]
fn decode_quantized<const LENGTH: usize>(
    bytes: &[u8],
    values: &mut [f32],
    decode: impl Fn(&[u8; LENGTH], f32) -> Block,
) {
    let (quantized, scales) = bytes.split_at(values.len() / BLOCK * LENGTH);
    let (quantized, _) = quantized.as_chunks();
    let (scales, _) = scales.as_chunks();
    let (blocks, _) = values.as_chunks_mut();
    for ((block, bytes), &scale) in blocks.iter_mut().zip(quantized).zip(scales) {
        let [scale, ..] = from_f16(i16x8::splat(i16::from_le_bytes(scale))).to_array();
        *block = cast::<_, [f32; BLOCK]>(decode(bytes, scale));
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

    /// Writes the first `count` blocks of a group; the others are any that could be written.
    ///
    /// # Errors
    /// The first value that the encoding can't hold.
    // The loops that decode call this: inlined into each, it would be too large for a browser's
    // compiler to do well.
    #[inline(never)]
    pub fn write(&mut self, group: &[Block; GROUP], count: usize) -> Result<(), f32> {
        let largest = largest_of_each(group.map(|block| block.map(magnitudes)));
        if largest.simd_gt(i32x4::splat(self.limit)).any() {
            self.check(&cast::<_, [f32; BLOCK * GROUP]>(*group))?;
        }
        let blocks = group.iter().take(count);
        match self.encoding {
            Encoding::F32 => {
                for &values in blocks.flatten() {
                    self.put(values.to_array().map(f32::to_le_bytes).as_flattened());
                }
            }
            Encoding::F16 => {
                for &block in blocks {
                    let halves: [i16; BLOCK] = cast(block.map(to_f16));
                    self.put(halves.map(i16::to_le_bytes).as_flattened());
                }
            }
            Encoding::BF16 => {
                for &block in blocks {
                    let values: [f32; BLOCK] = cast(block);
                    self.put(values.map(|v| to_bf16(v).to_le_bytes()).as_flattened());
                }
            }
            Encoding::Q8 => {
                let mut values = [[0; BLOCK]; GROUP];
                let scales = quantize_q8(group, cast(largest), self.smallest_scale, &mut values);
                self.put_quantized(&values, scales, count);
            }
            Encoding::Q4 => {
                let mut values = [[0; BLOCK / 2]; GROUP];
                let scales = quantize_q4(group, cast(largest), &mut values);
                self.put_quantized(&values, scales, count);
            }
        }
        Ok(())
    }

    /// Writes the values after the last whole block, which only a tensor that is not quantized has.
    ///
    /// # Errors
    /// The first value that the encoding can't hold.
    pub fn write_last(&mut self, values: &[f32]) -> Result<(), f32> {
        self.check(values)?;
        for &value in values {
            match self.encoding {
                Encoding::F32 => self.put(&value.to_le_bytes()),
                Encoding::F16 => self.put(&f16::from_f32(value).to_le_bytes()),
                Encoding::BF16 => self.put(&to_bf16(value).to_le_bytes()),
                Encoding::Q8 | Encoding::Q4 => {}
            }
        }
        Ok(())
    }

    /// Writes values that begin a block; those after the last whole one are written as
    /// [`BlockWriter::write_last`] does.
    ///
    /// # Errors
    /// The first value that the encoding can't hold.
    pub fn write_values(&mut self, values: &[f32]) -> Result<(), f32> {
        let (whole, rest) = values.as_chunks();
        for group in whole.chunks(GROUP) {
            let mut blocks = [Block::default(); GROUP];
            for (block, values) in blocks.iter_mut().zip(group) {
                *block = cast::<[f32; BLOCK], _>(*values);
            }
            self.write(&blocks, group.len())?;
        }
        self.write_last(rest)
    }

    /// The tensor's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn check(&self, values: &[f32]) -> Result<(), f32> {
        let too_large = |value: &f32| magnitude(*value) > self.limit;
        values.iter().copied().find(too_large).map_or(Ok(()), Err)
    }

    #[inline(always)]
    fn put(&mut self, encoded: &[u8]) {
        let end = self.position + encoded.len();
        self.bytes[self.position..end].copy_from_slice(encoded);
        self.position = end;
    }

    #[inline(always)]
    fn put_quantized<const LENGTH: usize>(
        &mut self,
        values: &[[u8; LENGTH]; GROUP],
        scales: i16x8,
        count: usize,
    ) {
        for (values, scale) in values.iter().zip(scales.to_array()).take(count) {
            self.put(values);
            let end = self.scale_position + 2;
            self.bytes[self.scale_position..end].copy_from_slice(&scale.to_le_bytes());
            self.scale_position = end;
        }
    }
}

/// The integers of values to which [`ROUND`] was added; one that an `i16` can't hold becomes the
/// nearest that it can.
#[inline(always)]
fn integers(rounded: Block) -> Integers {
    rounded.map(|values| {
        let offset = i32x8::splat(ROUND.to_bits() as i32);
        i16x8::from_i32x8_saturate(cast::<_, i32x8>(values) - offset)
    })
}

/// Blocks in 8 bits, and their scales: `largest magnitude / 127`, or the tensor's smallest scale
/// where that is larger, rounded up to `f16`; values are rounded against the rounded scale, so the
/// error is at most half of it.
#[inline(never)]
fn quantize_q8(
    blocks: &[Block; GROUP],
    largest: f32x4,
    smallest_scale: f32,
    values: &mut [[u8; BLOCK]; GROUP],
) -> i16x8 {
    let exact = largest / f32x4::splat(Q8_MAXIMUM);
    let exact = twice(exact.fast_max(f32x4::splat(smallest_scale)));
    let nearest = to_f16(exact);
    // Rounding down would clip a block's largest value. A comparison that holds is −1.
    let is_below: i32x8 = cast(from_f16(nearest).simd_lt(exact));
    let scales = nearest - i16x8::from_i32x8_saturate(is_below);
    // A scale is 0 where all values are, or are too small for an f32 to hold their 127th part.
    let steps = from_f16(scales);
    let steps = steps | (steps.simd_eq(f32x8::ZERO) & f32x8::splat(1.0));
    let steps = steps.to_array();
    for i in 0..GROUP {
        // No quotient is rounded to more than 127: no scale is below the largest value's 127th part.
        let step = f32x8::splat(steps[i]);
        let [a, b, c, d] = integers(blocks[i].map(|x| x / step + f32x8::splat(ROUND)));
        values[i] = cast([[a, b], [c, d]].map(|pair| i8x16::from_i16x16_saturate(cast(pair))));
    }
    scales
}

/// Blocks in 4 bits, and their scales, see the [module](self).
#[inline(never)]
fn quantize_q4(
    blocks: &[Block; GROUP],
    largest: f32x4,
    values: &mut [[u8; BLOCK / 2]; GROUP],
) -> i16x8 {
    // As integers, the bits of positive values are larger than those of negative ones.
    let top: f32x4 = cast(largest_of_each(blocks.map(cast::<Block, _>)));
    let sign = top.simd_ne(largest) & f32x4::splat(-0.0);
    let unit = (largest | sign) * f32x4::splat(1.0 / Q4_EXTREME);
    let inverse = (f32x4::splat(1.0) / unit).to_array();
    let relative: [Integers; GROUP] = from_fn(|i| {
        let inverse = f32x8::splat(inverse[i]);
        integers(blocks[i].map(|x| x * inverse + f32x8::splat(ROUND)))
    });
    let mut best_gain = f32x4::ZERO;
    let mut best_scale = f32x4::ZERO;
    for factor in Q4_FACTORS {
        let sums = relative.map(|block| try_q4_factor(&block, factor));
        let product = sum_of_each(sums.map(|[product, _]| product));
        let scale = product / sum_of_each(sums.map(|[_, square]| square));
        let gain = product * scale;
        let is_better = gain.simd_gt(best_gain);
        best_gain = is_better.select(gain, best_gain);
        best_scale = is_better.select(scale, best_scale);
    }
    let factors = q4_factors(q4_scales(unit * best_scale));
    let sums: [_; GROUP] = from_fn(|i| fit_q4_scale(&blocks[i], factors[i]));
    let product = sum_of_each(sums.map(|[product, _]| product));
    let scales = q4_scales(product / sum_of_each(sums.map(|[_, square]| square)));
    let factors = q4_factors(scales);
    for i in 0..GROUP {
        let factor = f32x8::splat(factors[i]);
        let [a, b, c, d] = integers(blocks[i].map(|x| x * factor + f32x8::splat(ROUND)));
        let [first, second] = [[a, b], [c, d]].map(|q| {
            let nibbles: u32x8 = cast(q.map(|q| clamp_q4(q) + i16x8::splat(Q4_OFFSET)));
            let bytes = (nibbles | nibbles >> 12u32) & u32x8::splat(0xff);
            i16x8::from_i32x8_saturate(cast(bytes))
        });
        values[i] = cast(u8x16::narrow_i16x8(first, second));
    }
    scales
}

/// `qx` and `q²` of the 4-bit values `q` that a block's integers `x` become with one of the
/// [`Q4_FACTORS`], as four sums each. All are integers that an `f32` can hold.
#[inline(always)]
fn try_q4_factor(x: &Integers, factor: i16) -> [f32x4; 2] {
    let q = x.map(|x| clamp_q4(x.mul_scale_round(i16x8::splat(factor))));
    let product = (q[0].dot(x[0]) + q[1].dot(x[1])) + (q[2].dot(x[2]) + q[3].dot(x[3]));
    let square = (q[0].dot(q[0]) + q[1].dot(q[1])) + (q[2].dot(q[2]) + q[3].dot(q[3]));
    [product, square].map(i32x4::round_float)
}

/// `qx` and `q²` of the 4-bit values `q` of a block `x` with a scale, given by its inverse, as four
/// sums each.
#[inline(always)]
fn fit_q4_scale(x: &Block, factor: f32) -> [f32x4; 2] {
    let [minimum, maximum] = Q4_RANGE.map(|q| f32x8::splat(q.into()));
    let round = f32x8::splat(ROUND);
    let q = x.map(|x| {
        let q = x * f32x8::splat(factor);
        (q.fast_max(minimum).fast_min(maximum) + round) - round
    });
    let product = (q[0] * x[0] + q[1] * x[1]) + (q[2] * x[2] + q[3] * x[3]);
    let square = (q[0] * q[0] + q[1] * q[1]) + (q[2] * q[2] + q[3] * q[3]);
    [product, square].map(|sums| {
        let [a, b]: [f32x4; 2] = cast(sums);
        a + b
    })
}

#[inline(always)]
fn clamp_q4(q: i16x8) -> i16x8 {
    q.max(i16x8::splat(Q4_RANGE[0]))
        .min(i16x8::splat(Q4_RANGE[1]))
}

/// Scales as `f16`; 0 for what is no number, which comes of a block of zeros.
#[inline(always)]
fn q4_scales(scales: f32x4) -> i16x8 {
    let scales = scales & scales.simd_eq(scales);
    let limit = f32x4::splat(F16_MAXIMUM);
    to_f16(twice(scales.fast_max(-limit).fast_min(limit)))
}

/// What values are multiplied with to get their 4-bit values: the inverse of their scale, and 0 for
/// a scale of 0.
#[inline(always)]
fn q4_factors(scales: i16x8) -> [f32; 8] {
    let scales = from_f16(scales);
    let inverse = f32x8::splat(1.0) / scales;
    (inverse & scales.simd_ne(f32x8::ZERO)).to_array()
}

/// The largest of each block's integers.
#[inline(always)]
fn largest_of_each(blocks: [[i32x8; BLOCK / 8]; GROUP]) -> i32x4 {
    let largest = blocks.map(|[a, b, c, d]| {
        let [a, b]: [i32x4; 2] = cast(a.max(b).max(c.max(d)));
        cast(a.max(b))
    });
    let [a, b, c, d] = u32x4::transpose(largest).map(cast::<_, i32x4>);
    a.max(b).max(c.max(d))
}

/// The sum of each vector's lanes.
#[inline(always)]
fn sum_of_each(vectors: [f32x4; GROUP]) -> f32x4 {
    let [a, b, c, d] = f32x4::transpose(vectors);
    (a + b) + (c + d)
}

/// The same four lanes twice, for the functions of eight.
#[inline(always)]
fn twice(values: f32x4) -> f32x8 {
    cast([values, values])
}
