//! A seeded source of test data: the same numbers on every run.

use super::adapters::{ActsOn, AdapterUse};
use super::bounds::{HYBRID_BASE_STEPS, MAXIMUM_ROWS, SEED_COUNT, STEPS};
use super::size::SDXL_SIZES;
use super::{Axis, Mode, Recipe};
use crate::sampler::SchedulerChoice;

/// Steele, Lea and Flood's SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// That many bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Up to that many characters of an alphabet.
    pub fn text(&mut self, alphabet: &[char], longest: usize) -> String {
        let length = self.below(longest + 1);
        (0..length)
            .map(|_| alphabet[self.below(alphabet.len())])
            .collect()
    }

    /// A number from 1 to another one.
    fn up_to(&mut self, maximum: u32) -> u32 {
        1 + self.below(maximum as usize) as u32
    }

    /// Up to so many numbers, at least one, each once.
    fn several<T: PartialEq>(
        &mut self,
        most: usize,
        mut number: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let mut numbers = Vec::new();
        for _ in 0..=self.below(most) {
            let number = number(self);
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }

    /// A guidance scale, round or of all bits.
    fn scale(&mut self) -> f32 {
        match self.below(3) {
            0 => self.below(21) as f32,
            1 => self.below(2001) as f32 / 100.0,
            _ => 20.0 * (self.below(1 << 24) as f32 / (1 << 24) as f32),
        }
    }

    fn prompt(&mut self) -> String {
        let alphabet: Vec<char> = "abc XYZ019&=#%+?/,.:;\"'\\\n\té漢ß🍎\u{200d}\u{10ffff}\0"
            .chars()
            .collect();
        self.text(&alphabet, 40)
    }

    fn scheduler(&mut self) -> Option<SchedulerChoice> {
        SchedulerChoice::ALL
            .get(self.below(SchedulerChoice::ALL.len() + 1))
            .copied()
    }

    fn strength(&mut self) -> f32 {
        self.below(1001) as f32 / 100.0 - 5.0
    }

    fn adapters(&mut self) -> Vec<AdapterUse> {
        (0..self.below(3))
            .map(|number| {
                let hash = format!("{number:08x}{:056x}", self.next());
                let name = self.prompt();
                AdapterUse {
                    strength: self.strength(),
                    acts_on: ActsOn::ALL[self.below(3)],
                    from_timestep: self.below(1001) as u32,
                    steps: (0..self.below(3)).map(|_| self.up_to(100)).collect(),
                    ..AdapterUse::new(&hash, &name)
                }
            })
            .collect()
    }

    /// A recipe that can be drawn.
    pub fn recipe(&mut self) -> Recipe {
        let chosen = 1 + self.below(31);
        let mut modes: Vec<Mode> = (0..)
            .zip(Mode::ALL)
            .filter_map(|(bit, mode)| (chosen >> bit & 1 == 1).then_some(mode))
            .collect();
        let adapters = self.adapters();
        let kind = match self.below(5) {
            4 if adapters.is_empty() || modes.len() > MAXIMUM_ROWS / 2 => 0,
            kind => kind,
        };
        if (1..3).contains(&kind) && !modes.contains(&Mode::Hybrid) {
            modes = vec![Mode::Base, Mode::Hybrid];
        }
        if kind == 3 && modes.len() * 2 > MAXIMUM_ROWS {
            modes.truncate(1);
        }
        let distilled_steps = 1 + self.up_to(STEPS.maximum - 1);
        let most = MAXIMUM_ROWS + 1 - modes.len();
        let axis = match kind {
            0 => Axis::Modes,
            1 => Axis::K(self.several(most, |random| random.up_to(distilled_steps))),
            2 => Axis::BaseGuidance(self.several(most, Random::scale)),
            4 => {
                let most = MAXIMUM_ROWS / modes.len() - 1;
                Axis::AdapterStrength(self.several(most, Random::strength))
            }
            _ => {
                let most = MAXIMUM_ROWS / modes.len() - 1;
                Axis::Prompts((0..=self.below(most)).map(|_| self.prompt()).collect())
            }
        };
        let recipe = Recipe {
            prompt: self.prompt(),
            negative_prompt: self.prompt(),
            long_prompts: self.below(2) == 0,
            weighted_prompt: self.below(2) == 0,
            size: SDXL_SIZES.get(self.below(2 * SDXL_SIZES.len())).copied(),
            seed: self.next() as u32,
            seed_count: self.up_to(SEED_COUNT.maximum),
            modes,
            axis,
            k: self.up_to(distilled_steps),
            hybrid_base_guidance: self.scale(),
            hybrid_base_steps: self.up_to(HYBRID_BASE_STEPS.maximum),
            adaptive_k: self.below(distilled_steps as usize + 1) as u32,
            adaptive_threshold: self.below(201) as f32 / 100.0,
            base_steps: self.up_to(STEPS.maximum),
            base_guidance: self.scale(),
            base_scheduler: self.scheduler(),
            distilled_steps,
            distilled_guidance: self.scale(),
            distilled_scheduler: self.scheduler(),
            adapters,
        };
        assert_eq!(recipe.validate(), Ok(()), "{recipe:?}");
        recipe
    }
}
