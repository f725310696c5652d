//! Numbers of an experiment, each with its interval.
//!
//! The diversity of one prompt is sure by its pictures: the jackknife of
//! [`Diversity`](crate::metrics::Diversity). An average over prompts is to say something of other prompts
//! too, so its interval is Student's over the prompts' own numbers. Two conditions are compared prompt by
//! prompt, with the same seeds, so that what prompts differ in doesn't blur it.

use super::records::{Results, STRUCTURAL};
use crate::metrics::{Estimate, RowDistances};

/// How far the pictures of a prompt under a condition are apart.
pub fn diversity(
    results: &Results,
    measure: &str,
    prompt: u32,
    condition: u32,
) -> Option<Estimate> {
    let found = row(results, measure, prompt, condition)?.diversity()?;
    Some(Estimate {
        interval: found.interval_up_to(largest_distance(measure)),
        ..Estimate::from(found)
    })
}

/// A mean of distances, whose interval ends where the distances do.
pub(super) fn bounded(mean: Estimate, measure: &str) -> Estimate {
    let most = largest_distance(measure);
    Estimate {
        interval: mean.interval.map(|ends| ends.map(|it| it.clamp(0.0, most))),
        ..mean
    }
}

/// The largest distance that a measure gives: opposite embeddings have a cosine of -1.
fn largest_distance(measure: &str) -> f64 {
    if measure == STRUCTURAL { 1.0 } else { 2.0 }
}

fn row<'a>(
    results: &'a Results,
    measure: &str,
    prompt: u32,
    condition: u32,
) -> Option<&'a RowDistances> {
    let rows = results.rows.iter();
    rows.filter(|row| row.measure == measure)
        .find(|row| row.prompt == prompt && row.condition == condition)
        .map(|row| &row.distances)
}

fn prompts(results: &Results) -> std::collections::BTreeSet<u32> {
    results.pictures.iter().map(|it| it.id.prompt).collect()
}

/// The mean diversity of all prompts under a condition. With one prompt or two it is the first's own.
pub fn average(results: &Results, measure: &str, condition: u32) -> Option<Estimate> {
    let of_prompts: Vec<Estimate> = prompts(results)
        .into_iter()
        .filter_map(|prompt| diversity(results, measure, prompt, condition))
        .collect();
    match of_prompts.as_slice() {
        [only] => Some(*only),
        several => Estimate::of(&several.iter().map(|it| it.mean).collect::<Vec<_>>())
            .map(|mean| bounded(mean, measure)),
    }
}

/// How much more diverse a condition is than another one, over the prompts that both have; of a single
/// prompt, over its pairs of pictures.
pub fn difference(
    results: &Results,
    measure: &str,
    condition: u32,
    reference: u32,
) -> Option<Estimate> {
    let mut differences = Vec::new();
    let mut within = None;
    for prompt in prompts(results) {
        let own = row(results, measure, prompt, condition);
        let other = row(results, measure, prompt, reference);
        let (Some(own), Some(other)) = (own, other) else {
            continue;
        };
        if let (Some(mean), Some(of_other)) = (own.diversity(), other.diversity()) {
            differences.push(mean.mean - of_other.mean);
            within = own.less(other).map(|it| Estimate {
                mean: it.mean,
                interval: Some(it.interval),
                n: it.pictures,
            });
        }
    }
    match differences.len() {
        1 => within.or_else(|| Estimate::of(&differences)),
        _ => Estimate::of(&differences),
    }
}

/// How far the pictures of a condition are from those of the same seeds under the one that it is compared
/// with.
pub fn change(results: &Results, measure: &str, condition: u32) -> Option<Estimate> {
    let changes = results.changes.iter();
    let groups: Vec<Vec<f64>> = changes
        .filter(|it| it.measure == measure && it.condition == condition)
        .map(|it| it.distances.clone())
        .collect();
    Estimate::of_groups(&groups).map(|mean| bounded(mean, measure))
}

/// Time of an image in seconds: the mean with its interval over images, and the median.
pub fn time(results: &Results, condition: u32) -> Option<(Estimate, f64)> {
    let pictures = results.pictures.iter();
    let seconds: Vec<f64> = pictures
        .filter(|it| it.id.condition == condition)
        .map(|it| it.milliseconds / 1000.0)
        .collect();
    Some((Estimate::of(&seconds)?, Estimate::median(&seconds)?))
}
