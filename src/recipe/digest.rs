//! A short digest of each step's Diffusion Target, by which two machines can tell whether they do
//! the same.
//!
//! Two machines never agree to the last bit: they add in another order, and a graphics processor may
//! compute with half precision. So a digest is no hash. It is three projections of the latent on
//! fixed directions of random signs, each a sum over n values divided by √n, in steps of 1/32 from −4
//! to 4. Noise of standard deviation e in the latent moves a projection by about e: latents that
//! differ by less than 1/64 or so, a hundredth of what two seeds differ by, have digests within
//! [`TOLERANCE`]. Two unrelated latents agree in all three about once in ten thousand.

use serde::{Deserialize, Serialize};

use super::bounds::{HYBRID_BASE_STEPS, STEPS};

/// Projections of a digest, and so bytes of it.
pub const PROJECTIONS: usize = 3;
/// By how much each number of two digests may differ: 1/32 of a latent's unit.
pub const TOLERANCE: u8 = 1;
/// The most digests of a text: the steps of an image of the hybrid, if the base model takes all of
/// them.
pub const MAXIMUM_DIGESTS: usize = STEPS.maximum as usize * HYBRID_BASE_STEPS.maximum as usize;
/// The digits of base 64 for addresses (RFC 4648, section 5).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Digits of a digest: three bytes are four digits of six bits, so nothing has to be filled up.
const DIGITS_OF_DIGEST: usize = 4;
/// Steps of a digest's numbers to one unit of a latent.
const STEPS_PER_UNIT: f64 = 32.0;

/// The digest of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDigest(pub [u8; PROJECTIONS]);

impl StepDigest {
    /// The digest of a latent, `[channels, height, width]`.
    pub fn of(latent: &[f32]) -> Self {
        let mut random = SplitMix64(0);
        let mut sums = [0f64; PROJECTIONS];
        for value in latent {
            let signs = random.next();
            for (bit, sum) in sums.iter_mut().enumerate() {
                // The high bits are the best mixed.
                if signs >> (63 - bit) & 1 == 1 {
                    *sum += f64::from(*value);
                } else {
                    *sum -= f64::from(*value);
                }
            }
        }
        let root = (latent.len().max(1) as f64).sqrt();
        // The cast takes NaN for 0 and ends at the bounds of a byte.
        StepDigest(sums.map(|sum| ((sum / root * STEPS_PER_UNIT).round() + 128.0) as u8))
    }

    /// Whether both are of the same latent, up to what machines differ by.
    pub fn agrees_with(self, other: StepDigest) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(ours, theirs)| ours.abs_diff(theirs) <= TOLERANCE)
    }
}

/// What a run's digests say beside those of another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// This number of steps agree, from the first, and no step has differed.
    Agrees(usize),
    /// This step, counted from 1, is the first that differs.
    DiffersFrom(usize),
}

/// Compares the steps that both have.
pub fn compare(ours: &[StepDigest], theirs: &[StepDigest]) -> Agreement {
    let pairs = ours.iter().zip(theirs);
    let length = pairs.len();
    match pairs
        .into_iter()
        .position(|(ours, theirs)| !ours.agrees_with(*theirs))
    {
        Some(index) => Agreement::DiffersFrom(index + 1),
        None => Agreement::Agrees(length),
    }
}

/// Digests as text for links: four characters each.
pub fn to_text(digests: &[StepDigest]) -> String {
    let mut text = String::with_capacity(digests.len() * DIGITS_OF_DIGEST);
    for StepDigest([first, second, third]) in digests {
        let bits = u32::from_be_bytes([0, *first, *second, *third]);
        for shift in [18, 12, 6, 0] {
            let digit = DIGITS.get((bits >> shift & 63) as usize);
            text.extend(digit.copied().map(char::from));
        }
    }
    text
}

/// The digests of a text of [`to_text`]; none where it is of another form, empty, or has more than
/// [`MAXIMUM_DIGESTS`].
pub fn from_text(text: &str) -> Option<Vec<StepDigest>> {
    let (digests, rest) = text.as_bytes().as_chunks::<DIGITS_OF_DIGEST>();
    if digests.is_empty() || !rest.is_empty() || digests.len() > MAXIMUM_DIGESTS {
        return None;
    }
    let read = |digits: &[u8; DIGITS_OF_DIGEST]| {
        let bits = digits.iter().try_fold(0, |bits: u32, digit| {
            let value = DIGITS.iter().position(|known| known == digit)?;
            Some(bits << 6 | value as u32)
        })?;
        let [_, first, second, third] = bits.to_be_bytes();
        Some(StepDigest([first, second, third]))
    };
    digests.iter().map(read).collect()
}

/// Steele, Lea and Flood's generator, which makes the directions: the same on every machine.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::TorchGenerator;

    fn latent(seed: u64) -> Vec<f32> {
        TorchGenerator::new(seed).randn(4 * 16 * 16)
    }

    /// The latent with noise of a standard deviation.
    fn disturbed(seed: u64, deviation: f32) -> Vec<f32> {
        let noise = TorchGenerator::new(seed + 1_000_000).randn(4 * 16 * 16);
        let pairs = latent(seed).into_iter().zip(noise);
        pairs
            .map(|(value, noise)| value + deviation * noise)
            .collect()
    }

    fn agreeing(other: impl Fn(u64) -> Vec<f32>) -> usize {
        (0..300)
            .filter(|seed| {
                StepDigest::of(&latent(*seed)).agrees_with(StepDigest::of(&other(*seed)))
            })
            .count()
    }

    #[test]
    fn rounding_of_machines_agrees_and_other_pictures_do_not() {
        assert_eq!(agreeing(latent), 300);
        // Single precision in another order, and half precision.
        assert_eq!(agreeing(|seed| disturbed(seed, 1e-4)), 300);
        assert_eq!(agreeing(|seed| disturbed(seed, 5e-3)), 300);
        assert!(agreeing(|seed| disturbed(seed, 0.3)) < 15);
        assert_eq!(agreeing(|seed| latent(seed + 5000)), 0);
    }

    #[test]
    fn the_first_step_that_differs_is_named() {
        let steps = |seeds: [u64; 3]| seeds.map(|seed| StepDigest::of(&latent(seed)));
        let theirs = steps([1, 2, 3]);
        assert_eq!(compare(&steps([1, 2, 3]), &theirs), Agreement::Agrees(3));
        assert_eq!(
            compare(&steps([1, 7, 3]), &theirs),
            Agreement::DiffersFrom(2)
        );
        assert_eq!(compare(&theirs[..1], &theirs), Agreement::Agrees(1));
        assert_eq!(compare(&theirs, &[]), Agreement::Agrees(0));
    }

    #[test]
    fn a_broken_latent_has_a_digest_too() {
        let broken = [f32::NAN, f32::INFINITY, -1.0, 1e30];
        assert_eq!(StepDigest::of(&broken), StepDigest::of(&broken));
        assert_eq!(StepDigest::of(&[]), StepDigest([128; 3]));
    }

    #[test]
    fn the_text_is_base_64_for_addresses() {
        // RFC 4648, section 10, and the two digits that differ in addresses.
        let digests = [*b"foo", *b"bar", [0xfb, 0xff, 0xbf]].map(StepDigest);
        assert_eq!(to_text(&digests), "Zm9vYmFy-_-_");
        assert_eq!(from_text("Zm9vYmFy-_-_").as_deref(), Some(&digests[..]));
    }

    #[test]
    fn every_digest_survives_its_text() {
        for number in (0..1 << 24).step_by(97) {
            let [_, first, second, third] = u32::to_be_bytes(number);
            let digests = [StepDigest([first, second, third]), StepDigest([7; 3])];
            assert_eq!(from_text(&to_text(&digests)), Some(digests.to_vec()));
        }
    }

    #[test]
    fn other_texts_are_no_digests() {
        for text in [
            "", "Zm9", "Zm9vY", "Zm9+", "Zm9/", "Zm9=", "Zm9 ", "Zmé", "é漢",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert!(from_text(&"AAAA".repeat(MAXIMUM_DIGESTS)).is_some());
        assert_eq!(from_text(&"AAAA".repeat(MAXIMUM_DIGESTS + 1)), None);
    }
}
