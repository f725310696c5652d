//! What an experiment takes: pictures, time, storage.

use crate::recipe::experiment::{Experiment, Passes, Study};
use crate::recipe::{Mode, Recipe, Row, Variant};
use crate::sampler::{ModelRole, is_guided};
use crate::view::units;

/// The longer side of the pictures that are kept to be measured, in pixels.
const KEPT_SIDE: u64 = 256;
/// Bytes of a picture in the store beside its pixels, about.
const BYTES_BESIDE: u64 = 2000;
/// Bytes of a pixel of a picture that is kept whole, as PNG, at most: photographs take some two.
const PNG_BYTES: u64 = 3;
/// Pixels for which a latent has four numbers.
const LATENT_PIXELS: u64 = 64;

/// The times that were measured on this device with this pair: of a pass of each model, and of what follows
/// the last step of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeasuredTimes {
    base: Mean,
    distilled: Mean,
    decode: Mean,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    fn add(&mut self, sum: f64, count: f64) {
        self.sum += sum;
        self.count += count;
    }

    fn get(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

impl MeasuredTimes {
    /// A step was taken, in so many milliseconds.
    pub fn step(&mut self, recipe: &Recipe, row: &Row, model: ModelRole, milliseconds: f64) {
        let passes = if is_guided(guidance(recipe, row, model)) {
            2.0
        } else {
            1.0
        };
        match model {
            ModelRole::Base => self.base.add(milliseconds, passes),
            ModelRole::Distilled => self.distilled.add(milliseconds, passes),
        }
    }

    /// A picture was decoded, in so many milliseconds.
    pub fn decoded(&mut self, milliseconds: f64) {
        self.decode.add(milliseconds, 1.0);
    }

    /// Seconds of so many passes and pictures; none while a model that takes part has not been measured.
    pub fn seconds(&self, passes: &Passes) -> Option<f64> {
        let of = |mean: Mean, count: u64| match count {
            0 => Some(0.0),
            // Far below 2^53.
            count => mean.get().map(|each| each * count as f64),
        };
        let base = of(self.base, passes.base)?;
        let distilled = of(self.distilled, passes.distilled)?;
        let decodes = of(self.decode, passes.pictures)?;
        Some((base + distilled + decodes) / 1000.0)
    }
}

/// The guidance scale of a row's steps by a model.
fn guidance(recipe: &Recipe, row: &Row, model: ModelRole) -> f32 {
    match (model, row.mode, row.variant) {
        (ModelRole::Distilled, ..) => recipe.distilled_guidance,
        (ModelRole::Base, Mode::Base, _) => recipe.base_guidance,
        (ModelRole::Base, _, Variant::BaseGuidance(scale)) => scale,
        (ModelRole::Base, ..) => recipe.hybrid_base_guidance,
    }
}

/// What is left of an experiment's passes when so many of its pictures are there, about.
pub fn left(experiment: &Experiment, pictures: u64) -> Passes {
    let all = experiment.passes();
    let left = all.pictures.saturating_sub(pictures);
    let share = |count: u64| {
        let of = u128::from(count) * u128::from(left) / u128::from(all.pictures.max(1));
        u64::try_from(of).unwrap_or(u64::MAX)
    };
    Passes {
        pictures: left,
        base: share(all.base),
        distilled: share(all.distilled),
    }
}

/// Bytes of this browser's storage that an experiment's pictures of a size in pixels take, and so many targets
/// of their steps.
pub fn storage(pictures: u64, targets: u64, size: (u32, u32)) -> u64 {
    let (width, height) = (u64::from(size.0), u64::from(size.1));
    let longer = width.max(height).max(1);
    let side = |side: u64| {
        if longer > KEPT_SIDE {
            (side * KEPT_SIDE).div_ceil(longer)
        } else {
            side
        }
    };
    let whole = if longer > KEPT_SIDE {
        width * height * PNG_BYTES
    } else {
        0
    };
    let latent = width * height / LATENT_PIXELS * 16;
    let small = side(width) * side(height);
    let kept = pictures.saturating_mul(small * 4 + whole + latent + BYTES_BESIDE);
    kept.saturating_add(targets.saturating_mul(small * PNG_BYTES))
}

/// The steps of an experiment's pictures whose targets are kept, and the images beside them.
fn targets(experiment: &Experiment, passes: &Passes) -> u64 {
    if experiment.study.measures_steps() {
        passes.base + passes.distilled + passes.pictures
    } else {
        0
    }
}

/// The estimate in sentences. `memory` has the bytes of GPU memory of the pair and one grid; none where that
/// is not known, or none is taken.
pub fn words(
    experiment: &Experiment,
    times: &MeasuredTimes,
    size: (u32, u32),
    memory: Option<u64>,
) -> String {
    let passes = experiment.passes();
    let seconds = times.seconds(&passes).map_or_else(
        || {
            "How long that takes is said as soon as this pair has drawn a picture of each model here."
                .to_owned()
        },
        |seconds| {
            format!(
                "About {} on this device, by the steps that were measured here.",
                units::duration(seconds)
            )
        },
    );
    let memory = memory.map_or_else(
        || "Memory doesn't grow with their number, as one grid is drawn at a time".to_owned(),
        |bytes| {
            format!(
                "About {} of GPU memory are taken, whatever their number, as one grid is drawn at a time",
                units::size(bytes)
            )
        },
    );
    let alone = if experiment.images == 1 && experiment.study != Study::Time {
        " One image for each prompt has no other to be measured against: two are the least for diversity."
    } else {
        ""
    };
    let conditions = experiment.conditions().len();
    let pictures = usize::try_from(passes.pictures).unwrap_or(usize::MAX);
    format!(
        "{}: {} × {} × {}, with {}. {seconds} {memory}; \
         {} of this browser's storage are taken.{alone}",
        units::count(pictures, "picture", "pictures"),
        units::count(experiment.prompts.len(), "prompt", "prompts"),
        units::count(conditions, "condition", "conditions"),
        units::count(experiment.images as usize, "image", "images"),
        passes_words(&passes),
        units::size(storage(passes.pictures, targets(experiment, &passes), size))
    )
}

fn passes_words(passes: &Passes) -> String {
    let base = format!("about {} of the base model", count(passes.base));
    let distilled = format!("{} of the distilled one", count(passes.distilled));
    match (passes.base, passes.distilled) {
        (0, _) => format!("about {distilled}"),
        (_, 0) => base,
        _ => format!("{base} and {distilled}"),
    }
}

fn count(passes: u64) -> String {
    let passes = usize::try_from(passes).unwrap_or(usize::MAX);
    units::count(passes, "pass", "passes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment() -> Experiment {
        Experiment {
            study: Study::Diversity,
            pair: "pairs/emoji/manifest.json".into(),
            prompts: vec!["a".into(), "b".into()],
            images: 3,
            settings: Recipe {
                modes: vec![Mode::Distilled, Mode::Hybrid],
                k: 1,
                hybrid_base_steps: 1,
                hybrid_base_guidance: 4.0,
                distilled_steps: 4,
                distilled_guidance: 1.0,
                ..Recipe::default()
            },
        }
    }

    #[test]
    fn time_is_that_of_the_passes_that_were_measured() {
        let experiment = experiment();
        let passes = experiment.passes();
        // Six hybrids with a guided base step and three others; six of the distilled model alone.
        assert_eq!((passes.base, passes.distilled), (12, 42));
        let mut times = MeasuredTimes::default();
        assert_eq!(times.seconds(&passes), None);
        let row = experiment.pages()[0].recipe.rows()[1].clone();
        times.step(&experiment.settings, &row, ModelRole::Base, 2000.0);
        times.step(&experiment.settings, &row, ModelRole::Distilled, 500.0);
        assert_eq!(times.seconds(&passes), None, "no picture was decoded");
        times.decoded(250.0);
        // 12 of a second, 42 of a half, 12 of a quarter.
        assert_eq!(times.seconds(&passes), Some(36.0));
        assert_eq!(times.seconds(&left(&experiment, 6)), Some(18.0));
        let words = words(&experiment, &times, (1024, 512), Some(5_100_000_000));
        assert!(words.contains("About 5.10 GB of GPU memory"), "{words}");
        assert!(words.starts_with("12 pictures: 2 prompts × 2 conditions × 3 images"));
        assert!(words.contains("About 36 s"), "{words}");
    }

    #[test]
    fn large_pictures_are_kept_small_and_whole() {
        let large = 256 * 128 * 4 + 1024 * 512 * 3 + 128 * 64 * 16 + BYTES_BESIDE;
        assert_eq!(storage(1, 0, (1024, 512)), large);
        assert_eq!(storage(1, 5, (1024, 512)), large + 5 * 256 * 128 * 3);
        let small = 64 * 64 * 4 + 8 * 8 * 16 + BYTES_BESIDE;
        assert_eq!(storage(2, 0, (64, 64)), 2 * small);
    }
}
