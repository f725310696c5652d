//! torch's normal noise of a CPU generator.
//!
//! Three parts have to agree with torch for a seed to mean the same picture: the Mersenne Twister,
//! the way its words become uniform numbers, and the Box-Muller transform, of which torch has two
//! kinds, chosen by the number of elements.

use std::f64::consts::PI;

/// Words in the state of MT19937.
const STATE_LENGTH: usize = 624;
/// Distance of the two words that are mixed into a new one.
const SHIFT: usize = 397;
/// Elements of one block of torch's vectorized Box-Muller transform; fewer elements than this take
/// the scalar path.
const BLOCK: usize = 16;
/// One over the number of values of a single-precision uniform number: 24 bits.
const UNIFORM_SCALE_24: f32 = 1.0 / (1 << 24) as f32;
/// One over the number of values of a double-precision uniform number: 53 bits.
const UNIFORM_SCALE_53: f64 = 1.0 / (1_u64 << 53) as f64;

/// The random generator that `torch.Generator("cpu")` is: MT19937, with the second half of a
/// normal pair kept for the next call.
#[derive(Clone, Debug, PartialEq)]
pub struct TorchGenerator {
    state: [u32; STATE_LENGTH],
    position: usize,
    cached_normal: Option<f64>,
}

impl TorchGenerator {
    /// The generator after `torch.manual_seed(seed)`. torch uses the low 32 bits of the seed alone.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; STATE_LENGTH];
        state[0] = seed as u32;
        for index in 1..STATE_LENGTH {
            let previous: u32 = state[index - 1];
            state[index] = (previous ^ (previous >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(index as u32);
        }
        TorchGenerator {
            state,
            position: STATE_LENGTH,
            cached_normal: None,
        }
    }

    /// `torch.randn(len, generator=self)` in single precision.
    ///
    /// Equal to torch's numbers up to the rounding of its single-precision logarithm, sine and
    /// cosine, which differ between torch's own builds.
    pub fn randn(&mut self, len: usize) -> Vec<f32> {
        if len < BLOCK {
            (0..len).map(|_| self.normal() as f32).collect()
        } else {
            self.normal_blocks(len)
        }
    }

    /// The path of 16 elements and more: all uniform numbers first, then pairs within blocks of 16.
    /// A last partial block is drawn anew as a whole block that ends with the last element.
    fn normal_blocks(&mut self, len: usize) -> Vec<f32> {
        let mut values: Vec<f32> = (0..len).map(|_| self.uniform_24()).collect();
        for block in values.chunks_exact_mut(BLOCK) {
            box_muller(block);
        }
        if !len.is_multiple_of(BLOCK) {
            let last = &mut values[len - BLOCK..];
            for value in last.iter_mut() {
                *value = self.uniform_24();
            }
            box_muller(last);
        }
        values
    }

    /// The path of fewer than 16 elements: one number at a time in double precision, every second
    /// one from the cache, which outlives the call.
    fn normal(&mut self) -> f64 {
        if let Some(value) = self.cached_normal.take() {
            return value;
        }
        let angle = 2.0 * PI * self.uniform_53();
        let radius = (-2.0 * (-self.uniform_53()).ln_1p()).sqrt();
        self.cached_normal = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// A multiple of 2^-24 from 0 up to, but not including, 1.
    fn uniform_24(&mut self) -> f32 {
        (self.next_word() & 0x00ff_ffff) as f32 * UNIFORM_SCALE_24
    }

    /// A multiple of 2^-53 from 0 up to, but not including, 1; the first word is the high one.
    fn uniform_53(&mut self) -> f64 {
        let high = u64::from(self.next_word());
        let low = u64::from(self.next_word());
        (((high << 32) | low) & ((1 << 53) - 1)) as f64 * UNIFORM_SCALE_53
    }

    /// The next 32 bits of MT19937 (Matsumoto and Nishimura, 1998).
    fn next_word(&mut self) -> u32 {
        if self.position == STATE_LENGTH {
            self.twist();
        }
        let mut word = self.state[self.position];
        self.position += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn twist(&mut self) {
        for index in 0..STATE_LENGTH {
            let upper = self.state[index] & 0x8000_0000;
            let lower = self.state[(index + 1) % STATE_LENGTH] & 0x7fff_ffff;
            let mixed = upper | lower;
            let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[index] = self.state[(index + SHIFT) % STATE_LENGTH] ^ (mixed >> 1) ^ odd;
        }
        self.position = 0;
    }
}

/// Turns a block of 16 uniform numbers into normal ones: element j and element j + 8 are a pair.
///
/// The angle is rounded to single precision as torch does, since its error is the largest of all;
/// the functions are taken in double precision, which is the nearest to all of torch's builds.
fn box_muller(block: &mut [f32]) {
    let (cosines, sines) = block.split_at_mut(BLOCK / 2);
    for (cosine, sine) in cosines.iter_mut().zip(sines) {
        let radius = (-2.0 * f64::from(1.0 - *cosine).ln()).sqrt();
        let angle = f64::from(2.0 * std::f32::consts::PI * *sine);
        *cosine = (radius * angle.cos()) as f32;
        *sine = (radius * angle.sin()) as f32;
    }
}
