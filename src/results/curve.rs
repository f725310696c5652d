//! The curve of the paper's Figure 5: the distance of each step's Diffusion Target to the final image,
//! against the share of the steps.

use super::aggregate::bounded;
use super::records::{PictureRecord, Results, STRUCTURAL};
use crate::metrics::Estimate;

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Share of the steps that are done, from above 0 to 1.
    pub share: f64,
    /// The distance.
    pub distance: Estimate,
}

/// The mean curve of all pictures under a condition, by a measure: over the means of prompts, where there are at least
/// three, or else over pictures. Pictures of fewer steps than others count between their own steps along a
/// straight line; before its first step a picture is as far as after it.
pub fn mean_curve(results: &Results, measure: &str, condition: u32) -> Vec<CurvePoint> {
    let measured: Vec<(u32, Vec<f64>)> = if measure == STRUCTURAL {
        let pictures = results.pictures.iter();
        pictures
            .filter(|it| it.id.condition == condition)
            .filter_map(|it| Some((it.id.prompt, distances(it)?)))
            .collect()
    } else {
        let of_network = results.targets.iter();
        of_network
            .filter(|it| it.measure == measure && it.id.condition == condition)
            .filter(|it| !it.distances.is_empty())
            .map(|it| (it.id.prompt, it.distances.clone()))
            .collect()
    };
    let most = measured.iter().map(|(_, it)| it.len()).max().unwrap_or(0);
    let prompts: std::collections::BTreeSet<u32> =
        measured.iter().map(|(prompt, _)| *prompt).collect();
    (1..=most)
        .filter_map(|step| {
            let share = step as f64 / most as f64;
            let groups: Vec<Vec<f64>> = prompts
                .iter()
                .map(|prompt| {
                    let own = measured.iter().filter(|(other, _)| other == prompt);
                    own.map(|(_, curve)| at(curve, share)).collect()
                })
                .collect();
            let distance = bounded(Estimate::of_groups(&groups)?, measure);
            Some(CurvePoint { share, distance })
        })
        .collect()
}

fn distances(picture: &PictureRecord) -> Option<Vec<f64>> {
    let distances: Option<Vec<f64>> = picture.steps.iter().map(|step| step.distance).collect();
    distances.filter(|it| !it.is_empty())
}

/// The distance of a picture at a share of its steps.
fn at(curve: &[f64], share: f64) -> f64 {
    let place = (share * curve.len() as f64 - 1.0).max(0.0);
    let before = curve.get(place.floor() as usize).copied();
    let after = curve.get(place.ceil() as usize).copied();
    let before = before.or(curve.last().copied()).unwrap_or_default();
    before + (after.unwrap_or(before) - before) * place.fract()
}

/// The share of the steps after which a curve is at most at a distance, along straight lines between its
/// points; none where it never is.
pub fn share_until(curve: &[CurvePoint], distance: f64) -> Option<f64> {
    let mut before: Option<&CurvePoint> = None;
    for point in curve {
        if point.distance.mean <= distance {
            return Some(match before {
                None => point.share,
                Some(before) => {
                    let fallen = before.distance.mean - point.distance.mean;
                    let part = (before.distance.mean - distance) / fallen;
                    before.share + (point.share - before.share) * part
                }
            });
        }
        before = Some(point);
    }
    None
}
