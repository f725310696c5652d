//! How much a change of the settings changes the pictures: the mean distance between a row's pictures and
//! those of the same seeds in another row.
//!
//! The distances are of different seeds, and so independent: the interval is Student's of their mean.

use serde::{Deserialize, Serialize};

use super::diversity::student_t_quantile;

/// The mean distance of pictures to those of the same seeds with other settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Mean distance over the seeds.
    pub mean: f64,
    /// Half the width of the 95 % interval around the mean; none for fewer than three seeds.
    pub margin: Option<f64>,
    /// Number of seeds, n.
    pub seeds: usize,
}

impl Change {
    /// Of the distances of each seed; none of no seed.
    pub fn of(distances: &[f64]) -> Option<Change> {
        let seeds = distances.len();
        if seeds == 0 {
            return None;
        }
        let count = seeds as f64;
        let mean = distances.iter().sum::<f64>() / count;
        let margin = (seeds > 2).then(|| {
            let squares: f64 = distances.iter().map(|it| (it - mean).powi(2)).sum();
            student_t_quantile(seeds - 1) * (squares / (count - 1.0) / count).sqrt()
        });
        Some(Change {
            mean,
            margin,
            seeds,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // scipy.stats.t.interval(0.95, 3, 0.25, scipy.stats.sem([0.1, 0.2, 0.3, 0.4])): ±0.205426.
        let change = Change::of(&[0.1, 0.2, 0.3, 0.4]).unwrap();
        assert!((change.mean - 0.25).abs() < 1e-12 && change.seeds == 4);
        assert!(
            (change.margin.unwrap() - 0.205_426).abs() < 1e-6,
            "{change:?}"
        );
        assert_eq!(Change::of(&[0.5, 0.5]).unwrap().margin, None);
        assert_eq!(Change::of(&[]), None);
    }
}
